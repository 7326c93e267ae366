//! A call that is watched.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::circuit::Pass;
use crate::{AsError, Error};

pin_project! {
    /// The answer of a [`Breaker`](super::Breaker). Dropping it cancels the call, which then counts as neither a
    /// success nor a failure.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct BreakerFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F> {
        /// The call was made.
        Called {
            #[pin]
            inner: F,
            pass: Option<Pass>,
        },
        /// The circuit is open. The error is taken with the result.
        Refused { error: Option<Error> },
    }
}

impl<F> BreakerFuture<F> {
    pub(super) fn new(inner: F, pass: Pass) -> Self {
        Self {
            state: State::Called {
                inner,
                pass: Some(pass),
            },
        }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }
}

impl<F, T, E> Future for BreakerFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Error> + AsError,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { inner, pass } => {
                let result = ready!(inner.poll(cx));
                if let Some(pass) = pass.take() {
                    pass.end(result.as_ref().err());
                }
                Poll::Ready(result)
            }
            StateProjection::Refused { error } => {
                let error = error.take();
                let error = error.expect("`BreakerFuture` polled after completion");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}
