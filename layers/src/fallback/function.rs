//! Answers that a function makes.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Fallback, Instead};
use crate::{AsError, Carry};

/// The answers of a function; made by [`FallbackLayer::with`](super::FallbackLayer::with).
#[derive(Clone, Copy)]
pub struct Function<F>(pub(super) F);

impl<S, F, R> Service<R> for Fallback<S, Function<F>>
where
    R: Carry,
    S: Service<R>,
    S::Error: AsError,
    F: Fn(&crate::Context, &crate::Error) -> Option<S::Response>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FallbackFuture<S::Future, F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> FallbackFuture<S::Future, F> {
        let cx = request.cx().clone();
        FallbackFuture {
            inner: self.inner.call(request),
            cx,
            instead: self.instead.clone(),
        }
    }
}

pin_project! {
    /// The answer of a [`Fallback`] to a function. Dropping it cancels the call.
    #[must_use = "futures do nothing unless polled"]
    pub struct FallbackFuture<Fut, F> {
        #[pin]
        inner: Fut,
        cx: crate::Context,
        instead: Arc<Instead<Function<F>>>,
    }
}

impl<Fut, F, T, E> Future for FallbackFuture<Fut, F>
where
    Fut: Future<Output = Result<T, E>>,
    E: AsError,
    F: Fn(&crate::Context, &crate::Error) -> Option<T>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let error = match ready!(this.inner.poll(cx)) {
            Ok(response) => return Poll::Ready(Ok(response)),
            Err(error) => error,
        };
        let answered = this.instead.covers(&error);
        let Function(answer) = &this.instead.answer;
        let answer = answered.and_then(|error| answer(this.cx, error));
        Poll::Ready(answer.ok_or(error))
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").finish_non_exhaustive()
    }
}

impl<Fut: fmt::Debug, F> fmt::Debug for FallbackFuture<Fut, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FallbackFuture").field(&self.inner).finish()
    }
}
