//! A call that is admitted, waits, or is refused.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::gate::{Pass, Ticket};
use crate::{AsError, Error, gated::Gated};

pin_project! {
    /// The answer of an [`Admission`](super::Admission). Dropping it cancels the call, or takes it out of the queue.
    ///
    /// # Panics
    /// If a call with a deadline waits outside of a tokio runtime with timers; as any future, if it is polled
    /// after it was ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct AdmissionFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        gated: Gated<S, R, Ticket>,
    }
}

impl<S: Service<R>, R> AdmissionFuture<S, R> {
    pub(super) fn called(call: S::Future, pass: Pass) -> Self {
        let gated = Gated::called(call, pass);
        Self { gated }
    }

    pub(super) fn waiting(ticket: Ticket, service: S, request: R) -> Self {
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

impl<S, R> Future for AdmissionFuture<S, R>
where
    S: Service<R>,
    S::Error: From<Error> + AsError,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().gated.poll(cx)
    }
}

impl<S: Service<R>, R> fmt::Debug for AdmissionFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdmissionFuture").field(&self.gated).finish()
    }
}
