//! The default stack.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_service::Service;

use super::{
    Channel, Client,
    reconnect::{Reconnect, ReconnectFuture},
};
use crate::{Body, Error, Request, Response};

/// What [`Client::connect`] puts together: the paved road, of which more may come without another name.
///
/// From the outside in:
///
/// 1. a deadline for calls that have none, 20 s unless [set](super::ClientBuilder::timeout);
/// 2. a connection that is dialled again after it was lost, with a backoff from 10 ms to 1 s. A call that finds
///    none waits for it until its deadline, or with [`fail_fast`](super::Call::fail_fast) for one dial.
///
/// It is always ready: a call waits by itself.
#[derive(Clone, Debug)]
pub struct DefaultStack {
    connection: Reconnect,
    settings: Settings,
}

/// The answer to a call of the [`DefaultStack`]. Dropping it cancels the call.
#[derive(Debug)]
#[must_use = "dropping the answer cancels the call"]
pub struct DefaultFuture(ReconnectFuture);

/// What calls have unless they say otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) timeout: Option<Duration>,
    pub(super) fail_fast: bool,
}

/// Puts the default stack together, from the inside out.
pub(super) fn stack(connection: Reconnect, settings: Settings) -> DefaultStack {
    // Innermost, the connection: it takes calls from any number of clones and holds them up for nobody.
    // Around it, what a call has to have before it waits for a connection: until when.
    DefaultStack {
        connection,
        settings,
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(20)),
            fail_fast: false,
        }
    }
}

impl Settings {
    fn apply(&self, request: &mut Request<Body>) {
        let cx = request.cx_mut();
        if cx.deadline().is_none()
            && let Some(timeout) = self.timeout
        {
            cx.set_timeout(timeout);
        }
        if self.fail_fast {
            cx.set_fail_fast(true);
        }
    }
}

impl DefaultStack {
    /// The connection that takes a whole batch, whose requests are given what calls have.
    pub(super) async fn channel_for(
        &mut self,
        requests: &mut [Request<Body>],
    ) -> Result<Channel, Error> {
        // One look at the clock for all of them.
        let timeout = self.settings.timeout;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        for request in &mut *requests {
            if request.cx().deadline().is_none() {
                request.cx_mut().set_deadline(deadline);
            }
        }
        let first = requests.iter().filter_map(|it| it.cx().deadline()).min();
        self.connection
            .channel(first, self.settings.fail_fast)
            .await
    }
}

impl<C> Client<DefaultStack, C> {
    /// Ends the connection in order, if there is one, and makes no other: calls under way end, later ones fail
    /// before they begin. For all clones. It goes on if this future is dropped.
    pub async fn drain(&self) {
        if let Some(channel) = self.service.connection.end() {
            channel.drain().await;
        }
    }

    /// Ends the connection at once, if there is one, and makes no other: calls under way fail, and later ones before
    /// they begin, with [`Kind::Closed`](crate::Kind::Closed). For all clones; to be repeated without effect.
    pub fn close(&self) {
        if let Some(channel) = self.service.connection.end() {
            channel.close();
        }
    }
}

impl Service<Request<Body>> for DefaultStack {
    type Response = Response<Body>;
    type Error = Error;
    type Future = DefaultFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.connection.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> DefaultFuture {
        self.settings.apply(&mut request);
        DefaultFuture(self.connection.call(request))
    }
}

impl Future for DefaultFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}
