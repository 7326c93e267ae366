//! A call that is made in its turn.

use std::{
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::ticket::Ticket;
use crate::{AsError, Error, gated::Gated};

pin_project! {
    /// The answer of a [`RateLimit`](super::RateLimit). Dropping it cancels the call; one that has waited in vain has used
    /// nothing.
    ///
    /// # Panics
    /// If a call waits outside of a tokio runtime with timers; as any future, if it is polled after it was ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct RateLimitFuture<S, R, K>
    where
        S: Service<R>,
        K: Hash,
        K: Eq,
        K: Clone,
    {
        #[pin]
        gated: Gated<S, R, Ticket<K>>,
    }
}

impl<S: Service<R>, R, K: Hash + Eq + Clone> RateLimitFuture<S, R, K> {
    pub(super) fn called(call: S::Future) -> Self {
        let gated = Gated::called(call, ());
        Self { gated }
    }

    pub(super) fn waiting(ticket: Ticket<K>, service: S, request: R) -> Self {
        let gated = Gated::waiting(ticket, service, request);
        Self { gated }
    }

    pub(super) fn refused(service: &mut S, error: Error) -> Self
    where
        S: Clone,
    {
        let gated = Gated::refused(service, error);
        Self { gated }
    }
}

impl<S, R, K> Future for RateLimitFuture<S, R, K>
where
    S: Service<R>,
    S::Error: From<Error> + AsError,
    K: Hash + Eq + Clone,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().gated.poll(cx)
    }
}

impl<S: Service<R>, R, K: Hash + Eq + Clone> fmt::Debug for RateLimitFuture<S, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimitFuture").field(&self.gated).finish()
    }
}
