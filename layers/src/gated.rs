//! A call that is made once it may be: what the layers with a queue have in common.
//!
//! A call that may go at once is made by the service that is ready, and costs no clone. One that has to wait takes that
//! service with it, and leaves a clone. It could not leave the ready one: what its readiness holds would be held by those
//! who wait, and lacking to those whose turn it is.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    AsError, Error,
    decided::{Decided, Pass},
};

/// The place of a call that waits, given up on drop.
pub(crate) trait Ticket {
    /// What the call keeps while it runs.
    type Pass: Pass;

    /// Is ready when the call may be made, or is not to be made any more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::Pass, Error>>;
}

pin_project! {
    /// The answer of a layer with a queue.
    pub(crate) struct Gated<S, R, T>
    where
        S: Service<R>,
        T: Ticket,
    {
        #[pin]
        state: State<S, R, S::Future, T>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, F, T>
    where
        T: Ticket,
    {
        /// The call was made, or is not to be.
        Decided {
            #[pin]
            decided: Decided<F, T::Pass>,
        },
        /// It waits for its turn.
        Waiting { ticket: T, parked: Parked<S, R> },
    }
}

/// What a call is made of, until it is made. Boxed: to wait is rare, and a request is large.
type Parked<S, R> = Option<Box<(S, R)>>;

impl<S: Service<R>, R, T: Ticket> Gated<S, R, T> {
    pub(crate) fn called(call: S::Future, pass: T::Pass) -> Self {
        Self {
            state: State::decided(Decided::called(call, pass)),
        }
    }

    /// By `service`, which is ready.
    pub(crate) fn waiting(ticket: T, service: S, request: R) -> Self {
        let parked = Some(Box::new((service, request)));
        Self {
            state: State::Waiting { ticket, parked },
        }
    }

    /// And what `service` holds for being ready is given back.
    pub(crate) fn refused(service: &mut S, error: Error) -> Self
    where
        S: Clone,
    {
        Self {
            state: State::decided(Decided::refused_by(service, error)),
        }
    }
}

impl<S, R, F, T: Ticket> State<S, R, F, T> {
    fn decided(decided: Decided<F, T::Pass>) -> Self {
        Self::Decided { decided }
    }
}

impl<S, R, T> Future for Gated<S, R, T>
where
    S: Service<R>,
    S::Error: From<Error> + AsError,
    T: Ticket,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let decided = match state.as_mut().project() {
                StateProjection::Decided { decided } => return decided.poll(cx),
                StateProjection::Waiting { ticket, parked } => match ready!(ticket.poll(cx)) {
                    Ok(pass) => {
                        let parked = parked.take().expect("taken when it is called");
                        let (mut service, request) = *parked;
                        Decided::called(service.call(request), pass)
                    }
                    Err(error) => Decided::refused(error),
                },
            };
            state.set(State::decided(decided));
        }
    }
}

impl<S: Service<R>, R, T: Ticket> fmt::Debug for Gated<S, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Decided { .. } => "decided",
            State::Waiting { .. } => "waiting",
        })
    }
}
