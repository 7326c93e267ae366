//! A call through its attempts.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{task::coop, time::Instant};
use tower_service::Service;

use super::{Again, Policy};
use crate::{AsError, Error, Execution, Replay, timer::Timer};

pin_project! {
    /// The answer of a [`Retry`](super::Retry). Dropping it cancels the attempt under way, and there is no
    /// other.
    ///
    /// # Panics
    /// If a policy asks for a wait outside of a tokio runtime with timers; as any future, if it is polled
    /// after it was ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryFuture<S, R, P>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, S::Future>,
        // Nothing for a call that is not tried again.
        next: Option<Next<S, R, P>>,
        // Of the attempts before, that of the one which got furthest.
        failure: Option<S::Error>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        /// An attempt is under way.
        Called {
            #[pin]
            attempt: F,
        },
        /// The time before the next attempt passes.
        Waiting { timer: Timer, until: Instant },
        /// The service is made ready for the next attempt.
        Readying { service: S },
        /// The result was taken.
        Done,
    }
}

/// What the next attempt is made of.
struct Next<S, R, P> {
    /// A copy of the request as it was sent last, with the number of that attempt.
    replay: R,
    again: Arc<Again<S, P>>,
}

impl<S: Service<R>, R, P> RetryFuture<S, R, P> {
    /// One attempt and no other.
    pub(super) fn once(attempt: S::Future) -> Self {
        Self {
            state: State::Called { attempt },
            next: None,
            failure: None,
        }
    }

    pub(super) fn new(attempt: S::Future, replay: R, again: Arc<Again<S, P>>) -> Self {
        Self {
            state: State::Called { attempt },
            next: Some(Next { replay, again }),
            failure: None,
        }
    }
}

impl<S, R, P> Future for RetryFuture<S, R, P>
where
    R: Replay,
    P: Policy,
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let end = match (this.state.as_mut().project(), this.next.as_mut()) {
                (StateProjection::Called { attempt }, next) => match ready!(attempt.poll(cx)) {
                    Ok(response) => Ok(response),
                    Err(error) => {
                        let wait = next.as_ref().and_then(|next| next.wait(&error));
                        let error = furthest(this.failure.take(), error);
                        if let (Some(wait), Some(next)) = (wait, next) {
                            *this.failure = Some(error);
                            this.state.set(next.after(wait));
                            continue;
                        }
                        Err(error)
                    }
                },
                (StateProjection::Waiting { timer, until }, Some(next)) => {
                    ready!(timer.poll(*until, cx));
                    this.state.set(next.now());
                    continue;
                }
                (StateProjection::Readying { service }, Some(_)) => {
                    // A service that fails at once, and a policy that never waits, must not keep the thread.
                    ready!(coop::poll_proceed(cx)).made_progress();
                    match ready!(service.poll_ready(cx)) {
                        Ok(()) => {
                            let next = this.next.take().expect("matched above");
                            let (request, rest) = next.into_request();
                            *this.next = rest;
                            let attempt = service.call(request);
                            this.state.set(State::Called { attempt });
                            continue;
                        }
                        Err(error) => Err(furthest(this.failure.take(), error)),
                    }
                }
                _ => panic!("`RetryFuture` polled after completion"),
            };
            this.state.set(State::Done);
            *this.next = None;
            return Poll::Ready(end);
        }
    }
}

impl<S: Clone, R: Replay, P: Policy> Next<S, R, P> {
    /// How long to wait before the next attempt, if there is one.
    fn wait(&self, error: &impl AsError) -> Option<Duration> {
        let error = error.as_error()?;
        let cx = self.replay.cx();
        let wait = self.again.policy.retry(cx, error)?;
        tracing::debug!(target: "steeple::call", method = %cx.method(), attempt = cx.attempt(), ?wait, %error, "trying again");
        Some(wait)
    }

    fn after<F>(&self, wait: Duration) -> State<S, F> {
        let now = Instant::now();
        match now.checked_add(wait) {
            Some(until) if !wait.is_zero() => State::Waiting {
                timer: Timer::take(until, now),
                until,
            },
            _ => self.now(),
        }
    }

    fn now<F>(&self) -> State<S, F> {
        State::Readying {
            service: self.again.spare.service(),
        }
    }

    /// The request of the next attempt, and what the one after it is made of: nothing, if the request cannot
    /// be sent once more.
    fn into_request(self) -> (R, Option<Self>) {
        let Self { replay, again } = self;
        let mut request = replay;
        let number = request.cx().attempt().saturating_add(1);
        request.cx_mut().set_attempt(number);
        let rest = request.replay().map(|replay| Self { replay, again });
        (request, rest)
    }
}

/// Of two attempts' errors that of the one which got further, or the later.
pub(crate) fn furthest<E: AsError>(earlier: Option<E>, later: E) -> E {
    let execution = |error: &E| {
        error
            .as_error()
            .map_or(Execution::MaybeExecuted, Error::execution)
    };
    match earlier {
        Some(earlier) if execution(&earlier) > execution(&later) => earlier,
        _ => later,
    }
}

impl<S: Service<R>, R, P> fmt::Debug for RetryFuture<S, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Called { .. } => "called",
            State::Waiting { .. } => "waiting",
            State::Readying { .. } => "readying",
            State::Done => "done",
        };
        f.debug_tuple("RetryFuture").field(&state).finish()
    }
}
