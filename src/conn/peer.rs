//! The other end of a connection, as something to call.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use steeple_layers::explain::{Explain, Explanation, Role};
use tokio::time::Instant;
use tower::load::Load;
use tower_service::Service;

use super::{
    inflight::Key,
    mailbox::Mailbox,
    outbox::Wish,
    response_future::ResponseFuture,
    shared::{Shared, Status},
    stats::Stats,
    tray::Tray,
    values::Values,
};
use crate::{Body, Error, Request, Response, transport::Address};

/// The other end of a connection: a cheap `Clone` and a tower [`Service`].
///
/// A handler finds the peer that called it by [`Peer::of`] and can call it back. A peer does not keep its
/// connection alive: on a client its [`Channel`](crate::Channel) does, on a server the other side.
///
/// A call is made – and encoded, if there is room – when `call` returns; the future only waits. Readiness
/// reserves nothing, so a clone that is ready and idle is in nobody's way.
#[derive(Debug)]
pub struct Peer {
    shared: Arc<Shared>,
    /// Of the last call of this clone, to be used again.
    mailbox: Option<Arc<Mailbox>>,
}

/// The calls of a batch. Dropping it cancels those that have not ended: each is told whether it was sent.
#[derive(Debug)]
pub(crate) struct Underway {
    shared: Arc<Shared>,
    keys: Vec<Key>,
}

impl Peer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            mailbox: None,
        }
    }

    /// The peer that sent this request; `None` for a request that was made here.
    ///
    /// ```
    /// use steeple::{Body, Error, Peer, Request, Response};
    /// use tower::Service;
    ///
    /// async fn handle(request: Request) -> Result<Response, Error> {
    ///     let mut caller = Peer::of(&request).expect("it came in").clone();
    ///     let name = caller.call(Request::new("Name", Body::empty())).await;
    ///     // Whatever came of the call back, this handler has run.
    ///     name.map_err(Error::executed)
    /// }
    /// ```
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.connection()?.get()
    }

    /// What the transport calls the other end; `None` where it has no name.
    pub fn address(&self) -> Option<&Address> {
        self.shared.address()
    }

    /// What services keep with this connection, such as who the peer has shown itself to be.
    ///
    /// ```
    /// use steeple::{Error, Kind, Peer};
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// async fn log_in(peer: Peer, name: String) {
    ///     peer.values().insert(User(name));
    /// }
    ///
    /// async fn who_am_i(peer: Peer) -> Result<String, Error> {
    ///     let user = peer.values().get::<User>();
    ///     Ok(user.ok_or_else(|| Error::new(Kind::Unauthenticated, "log in first"))?.0)
    /// }
    ///
    /// let router: steeple::Router = steeple::Router::new().route("LogIn", log_in).route("WhoAmI", who_am_i);
    /// ```
    pub fn values(&self) -> &Values {
        self.shared.values()
    }

    /// How many calls wait to be sent or to be answered. A balancer compares these.
    pub fn pending(&self) -> usize {
        let outbox = self.shared.outbox();
        outbox.calls().pending() + outbox.calls().owed()
    }

    /// A consistent copy of what the connection has counted.
    pub fn stats(&self) -> Stats {
        self.shared.outbox().stats()
    }

    /// Waits until the other side has opened the connection.
    ///
    /// # Errors
    /// The one that ended the connection.
    pub async fn handshaken(&self) -> Result<(), Error> {
        self.reached(Status::Open).await;
        match self.shared.cause() {
            Some(cause) => Err(cause.error(false)),
            None => Ok(()),
        }
    }

    /// Waits until no call can begin any more: either side drains, or the connection is over.
    pub async fn draining(&self) {
        self.reached(Status::Draining).await;
    }

    /// Waits until the connection is over.
    pub async fn closed(&self) {
        self.reached(Status::Closed).await;
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.shared.has_reached(Status::Closed)
    }

    /// Asks the other side, once it has opened the connection, whether it is there, and measures how long its
    /// answer takes.
    ///
    /// # Errors
    /// If the connection ends first, or more than 64 pings wait for their answers.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.handshaken().await?;
        let begun = Instant::now();
        let answered = self.shared.ping()?.await;
        match (answered, self.shared.cause()) {
            (Err(_), Some(cause)) => Err(cause.error(true)),
            _ => Ok(begun.elapsed()),
        }
    }

    /// Sends a message that has no answer: what becomes of it is not told. As a call of a request that
    /// [is one-way](crate::Context::set_one_way), for whom there is nothing to wait for.
    ///
    /// # Errors
    /// It was not sent: the connection is over or drains, [`Kind::Overflow`](crate::Kind::Overflow) if
    /// [`write_buffer`](crate::Options::write_buffer) is full, [`Kind::Invalid`](crate::Kind::Invalid) if it
    /// cannot be encoded.
    pub fn notify(&self, mut request: Request<Body>) -> Result<(), Error> {
        request.cx_mut().set_one_way(true);
        self.shared.one_way(request)
    }

    /// Ends the connection in order: no call begins on either side, those under way end, and both sides have
    /// said so, within [`drain_grace`](crate::Options::drain_grace). Returns when it is over. It goes on if
    /// this future is dropped.
    pub async fn drain(&self) {
        self.shared.want(Wish::Drain);
        self.closed().await;
    }

    /// Ends the connection at once. Calls under way fail; later ones fail before they begin. To be repeated
    /// without effect.
    pub fn close(&self) {
        self.shared.want(Wish::Close);
    }

    /// Makes all calls of a batch, or none; the answers come to `tray`, whose numbers are theirs. They are
    /// encoded under one lock, so they share a write as far as the stream takes it.
    ///
    /// # Errors
    /// As a call that cannot begin; [`Kind::Overflow`](crate::Kind::Overflow) if there is no room for all. The
    /// requests are then as they were, for another connection.
    pub(crate) fn call_all(
        &self,
        requests: &mut Vec<Request<Body>>,
        tray: &Arc<Tray>,
    ) -> Result<Underway, Error> {
        let keys = self.shared.call_all(requests, tray)?;
        Ok(Underway {
            shared: self.shared.clone(),
            keys,
        })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Lets the connection end in order, without waiting.
    pub(crate) fn release(&self) {
        self.shared.want(Wish::Drain);
    }

    async fn reached(&self, status: Status) {
        // The sender lives in what this handle holds, so it cannot be gone.
        let _ = self
            .shared
            .status()
            .wait_for(|reached| *reached >= status)
            .await;
    }

    /// Tells that calls leave here.
    pub(crate) fn tell(&self, name: &'static str, out: &mut Explanation) {
        let part = out.part(name).role(Role::AlwaysReady);
        part.role(Role::Connection).role(Role::OneConnection);
        if let Some(address) = self.address() {
            part.setting(address);
        }
        if self.is_closed() {
            part.setting("closed");
        }
    }
}

/// The end of a stack.
impl Explain for Peer {
    fn explain(&self, out: &mut Explanation) {
        self.tell("Peer", out);
    }
}

impl Clone for Peer {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self
            .shared
            .has_reached(Status::Closed)
            .then(|| self.shared.cause())
            .flatten()
        {
            Some(cause) => Poll::Ready(Err(cause.error(false))),
            None => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: Request<Body>) -> ResponseFuture {
        if request.cx().is_one_way() {
            return match self.shared.one_way(request) {
                Ok(()) => ResponseFuture::sent(),
                Err(error) => ResponseFuture::failed(error),
            };
        }
        let mailbox = Mailbox::take(&mut self.mailbox, &self.shared);
        match self.shared.call(&mut request, &mailbox) {
            Ok(key) => ResponseFuture::waiting(key, mailbox),
            Err(error) => ResponseFuture::failed(error),
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.shared.abandon_all(&self.keys);
    }
}

/// The number of calls that wait to be sent or to be answered.
impl Load for Peer {
    type Metric = usize;

    fn load(&self) -> usize {
        self.pending()
    }
}
