//! A call and its deadline.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{Error, Execution, Kind, moment::Moment, timer::Timer};

/// How much longer than the deadline this waits: a connection notices a deadline up to about two of its ticks
/// of a millisecond late, and its verdict, which knows whether the call was sent, is the better one.
const GRACE: Duration = Duration::from_millis(4);

pin_project! {
    /// The answer of a [`Timeout`](super::Timeout). Dropping it cancels the call.
    ///
    /// # Panics
    /// If a call with a deadline is pending outside of a tokio runtime with timers; as any future, if it is
    /// polled after it was ready.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TimeoutFuture<F> {
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
            // None, if it is kept by others.
            deadline: Moment,
            // A time not later than the beginning of the call.
            since: Moment,
            // Taken when the call is first pending.
            timer: Option<Timer>,
        },
        /// The deadline had passed before the call was made.
        Late,
        /// The result was taken.
        Done,
    }
}

impl<F> TimeoutFuture<F> {
    #[inline]
    pub(super) fn new(inner: F, deadline: Moment, since: Moment) -> Self {
        Self {
            state: State::Called {
                inner,
                deadline,
                since,
                timer: None,
            },
        }
    }

    pub(super) fn late() -> Self {
        Self { state: State::Late }
    }
}

impl<F, T, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let polled = match state.as_mut().project() {
            StateProjection::Called {
                inner,
                deadline,
                since,
                timer,
            } => match inner.poll(cx) {
                Poll::Pending => {
                    let Some(at) = deadline.instant() else {
                        return Poll::Pending;
                    };
                    let until = at.checked_add(GRACE).unwrap_or(at);
                    let now = || since.instant().unwrap_or_else(Instant::now);
                    let timer = timer.get_or_insert_with(|| Timer::take(until, now()));
                    ready!(timer.poll(until, cx));
                    Poll::Ready(Err(elapsed(deadline.since(*since)).into()))
                }
                ready => ready,
            },
            StateProjection::Late => Poll::Ready(Err(late().into())),
            StateProjection::Done => panic!("`TimeoutFuture` polled after completion"),
        };
        // The call ends here and not when the caller lets go of this future.
        state.set(State::Done);
        polled
    }
}

fn elapsed(time: Duration) -> Error {
    Error::new(Kind::Timeout, format!("no answer within {time:?}"))
        .with_execution(Execution::MaybeExecuted)
}

fn late() -> Error {
    Error::new(Kind::Timeout, "the deadline had passed before the call")
        .with_execution(Execution::NotStarted)
}
