//! A balanced call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::{
    sync::futures::OwnedNotified,
    time::{Instant, Sleep, sleep_until},
};
use tower_service::Service;

use super::{
    Pick,
    layer::{Balance, Dispatch},
};
use crate::{
    AsError, Carry, Error,
    replicas::{Demand, ReplicaFuture},
};

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
        Waiting { waiting: Box<Waiting<S, P, Req>> },
        /// Over before it began.
        Failed { error: Option<Error> },
    }
}

/// A call that waits for a replica.
struct Waiting<S, P, Req> {
    balance: Balance<S, P>,
    request: Option<Req>,
    /// The next snapshot.
    published: Pin<Box<OwnedNotified>>,
    /// Keeps the set from being idle.
    _demand: Demand<S>,
    /// The deadline.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<S: Service<Req>, P, Req> BalanceFuture<S, P, Req> {
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

    pub(super) fn waiting(balance: Balance<S, P>, request: Req) -> Self {
        let published = Box::pin(balance.replicas().published().clone().notified_owned());
        let demand = balance.replicas().demand();
        let waiting = Box::new(Waiting {
            balance,
            request: Some(request),
            published,
            _demand: demand,
            sleep: None,
        });
        Self {
            state: State::Waiting { waiting },
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Called { call } => return call.poll(cx),
                StateProj::Waiting { waiting } => match ready!(waiting.poll_replica(cx)) {
                    Ok(call) => State::Called { call },
                    Err(error) => return Poll::Ready(Err(error.into())),
                },
                StateProj::Failed { error } => {
                    let error = error.take().expect("polled after completion");
                    return Poll::Ready(Err(error.into()));
                }
            };
            state.set(next);
        }
    }
}

impl<S, P, Req> Waiting<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: AsError,
    P: Pick,
    Req: Carry,
{
    fn poll_replica(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplicaFuture<S, Req>, Error>> {
        loop {
            // What rings was there before this look, so that no snapshot comes unseen between the two.
            let request = self.request.take().expect("polled after completion");
            let deadline = request.cx().deadline();
            match self.balance.dispatch(request, Instant::now()) {
                Dispatch::Called(call) => return Poll::Ready(Ok(call)),
                Dispatch::Failed(error) => return Poll::Ready(Err(error)),
                Dispatch::Wait(request) => self.request = Some(request),
            }
            if self.published.as_mut().poll(cx).is_ready() {
                let published = self.balance.replicas().published().clone();
                self.published = Box::pin(published.notified_owned());
                continue;
            }
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(sleep.as_mut().poll(cx));
            let text = "no replica was live within the deadline";
            return Poll::Ready(Err(self.balance.replicas().unreachable(text).out_of_time()));
        }
    }
}

impl<S: Service<Req>, P, Req> fmt::Debug for BalanceFuture<S, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceFuture").finish_non_exhaustive()
    }
}
