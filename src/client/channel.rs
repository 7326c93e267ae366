//! One connection, as a client holds it.

use std::{
    ops::Deref,
    sync::Arc,
    task::{Context, Poll},
};

use tower::load::Load;
use tower_service::Service;

use super::Connector;
use crate::{
    Body, Endpoint, Error, Peer, Request, Response, ResponseFuture, transport::InvalidEndpoint,
};

/// One connection to a server: a cheap `Clone` and a tower [`Service`], below all layers.
///
/// It is the [`Peer`] at the other end, and keeps the connection: with the last clone the connection drains,
/// so that calls under way still end. It does not dial again when the connection is lost.
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
}

impl Deref for Channel {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
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

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.release();
    }
}
