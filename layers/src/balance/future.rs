//! A balanced call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Pick, waiting::Waiting};
use crate::{AsError, Carry, Error, moment::Moment, replicas::ReplicaFuture};

pin_project! {
    /// A call of [`Balance`].
    #[must_use = "futures do nothing unless polled"]
    pub struct BalanceFuture<S, P, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S, P, Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, P, Req>
    where
        S: Service<Req>,
    {
        /// At a replica.
        Called { #[pin] call: ReplicaFuture<S, Req> },
        /// Without a live replica. Boxed: it is rare, and large.
        Waiting { waiting: Box<(Waiting<S, P>, Option<Req>)> },
        /// Over before it began.
        Failed { error: Option<Error> },
    }
}

impl<S: Service<Req>, P, Req> BalanceFuture<S, P, Req> {
    #[inline]
    pub(super) fn called(call: ReplicaFuture<S, Req>) -> Self {
        Self {
            state: State::Called { call },
        }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: State::Failed { error: Some(error) },
        }
    }

    pub(super) fn waiting(waiting: Waiting<S, P>, request: Req) -> Self {
        Self {
            state: State::Waiting {
                waiting: Box::new((waiting, Some(request))),
            },
        }
    }
}

impl<S, P, Req> Future for BalanceFuture<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: From<Error> + AsError,
    P: Pick,
    Req: Carry,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Called { call } => return call.poll(cx),
                StateProj::Waiting { waiting } => {
                    let (waiting, request) = &mut **waiting;
                    const OVER: &str = "polled after completion";
                    let called = waiting.poll(cx, |balance| {
                        let cx = request.as_ref().expect(OVER).cx();
                        let route = balance.route::<Req>(cx, Moment::now())?;
                        Some(route.map(|route| balance.call_on(route, request.take().expect(OVER))))
                    });
                    match ready!(called) {
                        Ok(call) => State::Called { call },
                        Err(error) => return Poll::Ready(Err(error.into())),
                    }
                }
                StateProj::Failed { error } => {
                    let error = error.take().expect("polled after completion");
                    return Poll::Ready(Err(error.into()));
                }
            };
            state.set(next);
        }
    }
}

impl<S: Service<Req>, P, Req> fmt::Debug for BalanceFuture<S, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceFuture").finish_non_exhaustive()
    }
}
