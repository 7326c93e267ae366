//! A call that is watched.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::circuit::Pass;
use crate::{AsError, Error, decided::Decided};

pin_project! {
    /// The answer of a [`Breaker`](super::Breaker). Dropping it cancels the call, which then counts as neither a
    /// success nor a failure.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct BreakerFuture<F> {
        #[pin]
        decided: Decided<F, Pass>,
    }
}

impl<F> BreakerFuture<F> {
    pub(super) fn new(decided: Decided<F, Pass>) -> Self {
        Self { decided }
    }
}

impl<F, T, E> Future for BreakerFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Error> + AsError,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().decided.poll(cx)
    }
}
