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

use crate::Error;

/// The place of a call that waits, given up on drop.
pub(crate) trait Ticket {
    /// What the call keeps while it runs.
    type Pass: Pass;

    /// Is ready when the call may be made, or is not to be made any more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::Pass, Error>>;
}

/// Leave to run, given back on drop.
pub(crate) trait Pass {
    /// The call has been answered, and well.
    fn answered(&mut self) {}
}

/// A layer that lets all pass in turn has nothing to give back.
impl Pass for () {}

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
        /// The call was made.
        Called {
            // Dropped before the pass.
            #[pin]
            call: F,
            pass: T::Pass,
        },
        /// It waits for its turn.
        Waiting { ticket: T, parked: Parked<S, R> },
        /// It is not to be made.
        Refused { error: Option<Error> },
        /// The result was taken.
        Done,
    }
}

/// What a call is made of, until it is made. Boxed: to wait is rare, and a request is large.
type Parked<S, R> = Option<Box<(S, R)>>;

impl<S: Service<R>, R, T: Ticket> Gated<S, R, T> {
    pub(crate) fn called(call: S::Future, pass: T::Pass) -> Self {
        Self {
            state: State::Called { call, pass },
        }
    }

    /// By `service`, which is ready.
    pub(crate) fn waiting(ticket: T, service: S, request: R) -> Self {
        let parked = Some(Box::new((service, request)));
        Self {
            state: State::Waiting { ticket, parked },
        }
    }

    /// What the `service` holds for being ready is given back: somebody else may wait for it, as a retry of this call.
    pub(crate) fn refused(service: &mut S, error: Error) -> Self
    where
        S: Clone,
    {
        *service = service.clone();
        Self {
            state: State::Refused { error: Some(error) },
        }
    }
}

impl<S, R, T> Future for Gated<S, R, T>
where
    S: Service<R>,
    S::Error: From<Error>,
    T: Ticket,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let end = match state.as_mut().project() {
                StateProjection::Called { call, pass } => {
                    let end = ready!(call.poll(cx));
                    if end.is_ok() {
                        pass.answered();
                    }
                    end
                }
                StateProjection::Waiting { ticket, parked } => match ready!(ticket.poll(cx)) {
                    Ok(pass) => {
                        let parked = parked.take().expect("taken when it is called");
                        let (mut service, request) = *parked;
                        let call = service.call(request);
                        state.set(State::Called { call, pass });
                        continue;
                    }
                    Err(error) => Err(error.into()),
                },
                StateProjection::Refused { error } => {
                    Err(error.take().expect("polled after completion").into())
                }
                StateProjection::Done => panic!("polled after completion"),
            };
            // Others have their turn now, and not when the caller lets go of this future.
            state.set(State::Done);
            return Poll::Ready(end);
        }
    }
}

impl<S: Service<R>, R, T: Ticket> fmt::Debug for Gated<S, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Called { .. } => "called",
            State::Waiting { .. } => "waiting",
            State::Refused { .. } => "refused",
            State::Done => "done",
        })
    }
}
