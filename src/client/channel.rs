//! One connection, as a client holds it.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use steeple_layers::explain::{Explain, Explanation};
use tower::load::Load;
use tower_service::Service;

use super::Connector;
use crate::{
    Address, Body, Endpoint, Error, Peer, Request, Response, ResponseFuture, Stats,
    transport::InvalidEndpoint,
};

/// One connection to a server: a cheap `Clone` and a tower [`Service`], below all layers.
///
/// It is a [`Peer`] that keeps its connection: with the last clone the connection drains, so that calls under
/// way still end. It does not dial again when the connection is lost.
///
/// ```no_run
/// use steeple::{Body, Channel, Error, Request};
/// use tower::Service;
///
/// # async fn example() -> Result<(), Error> {
/// let mut channel = Channel::connect("tcp://127.0.0.1:7000").await?;
/// let response = channel.call(Request::new("Echo", Body::from("hello"))).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Channel {
    peer: Peer,
    _owner: Arc<Owner>,
}

/// Lets go of the connection with the last clone.
#[derive(Debug)]
struct Owner(Peer);

impl Channel {
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            _owner: Arc::new(Owner(peer.clone())),
            peer,
        }
    }

    /// Connects by the default [`Connector`].
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if this is no endpoint,
    /// [`Kind::Unreachable`](crate::Kind::Unreachable) if the dial fails.
    pub async fn connect<E>(endpoint: E) -> Result<Self, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        Connector::new().connect(endpoint).await
    }

    /// The other end, as something to call that does not keep the connection.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the transport calls the other end; `None` where it has no name.
    pub fn address(&self) -> Option<&Address> {
        self.peer.address()
    }

    /// How many calls wait to be sent or to be answered.
    pub fn pending(&self) -> usize {
        self.peer.pending()
    }

    /// A consistent copy of what the connection has counted.
    pub fn stats(&self) -> Stats {
        self.peer.stats()
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.peer.is_closed()
    }

    /// Waits until the server has opened the connection.
    ///
    /// # Errors
    /// The one that ended the connection.
    pub async fn handshaken(&self) -> Result<(), Error> {
        self.peer.handshaken().await
    }

    /// Waits until no call can begin any more: either side drains, or the connection is over.
    pub async fn draining(&self) {
        self.peer.draining().await;
    }

    /// Waits until the connection is over.
    pub async fn closed(&self) {
        self.peer.closed().await;
    }

    /// Asks the server whether it is there, and measures how long its answer takes.
    ///
    /// # Errors
    /// As [`Peer::ping`].
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.peer.ping().await
    }

    /// Sends a message that has no answer.
    ///
    /// # Errors
    /// As [`Peer::notify`].
    pub fn notify(&self, request: Request<Body>) -> Result<(), Error> {
        self.peer.notify(request)
    }

    /// Ends the connection in order and returns when it is over, as [`Peer::drain`] tells in detail. It goes
    /// on if this future is dropped.
    pub async fn drain(&self) {
        self.peer.drain().await;
    }

    /// Ends the connection at once: calls under way fail, and later ones before they begin.
    pub fn close(&self) {
        self.peer.close();
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.peer.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        self.peer.call(request)
    }
}

/// The number of calls that wait to be sent or to be answered.
impl Load for Channel {
    type Metric = usize;

    fn load(&self) -> usize {
        self.pending()
    }
}

/// The end of a client's stack.
impl Explain for Channel {
    fn explain(&self, out: &mut Explanation) {
        self.peer.tell("Channel", out);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.release();
    }
}
