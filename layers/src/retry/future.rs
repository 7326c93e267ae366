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
use crate::{AsError, Error, Execution, Replay, timer::Timer, tried};

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
        // A copy of the request as it was sent last, with the highest number of an attempt so far; nothing for a call
        // that is not tried again.
        replay: Option<R>,
        again: Arc<Again<S, P>>,
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
        /// The service is made ready for the next attempt. Boxed: it is rare, and a service may be large.
        Readying { service: Box<S> },
        /// The result was taken.
        Done,
    }
}

impl<S: Service<R>, R, P> RetryFuture<S, R, P> {
    #[inline]
    pub(super) fn new(attempt: S::Future, replay: Option<R>, again: Arc<Again<S, P>>) -> Self {
        Self {
            state: State::Called { attempt },
            replay,
            again,
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
            let end = match this.state.as_mut().project() {
                StateProjection::Called { attempt } => {
                    let (polled, seen) = tried::watch(|| attempt.poll(cx));
                    if let Some(replay) = this.replay {
                        replay.cx_mut().learn(seen);
                    }
                    match polled {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(error)) => {
                            let wait = this
                                .replay
                                .as_ref()
                                .and_then(|it| this.again.wait(it, &error));
                            let error = furthest(this.failure.take(), error);
                            if let Some(wait) = wait {
                                *this.failure = Some(error);
                                this.state.set(this.again.after(wait));
                                continue;
                            }
                            Poll::Ready(Err(error))
                        }
                        answered => answered,
                    }
                }
                StateProjection::Waiting { timer, until } => {
                    ready!(timer.poll(*until, cx));
                    this.state.set(this.again.now());
                    continue;
                }
                StateProjection::Readying { service } => {
                    // A service that fails at once, and a policy that never waits, must not keep the thread.
                    ready!(coop::poll_proceed(cx)).made_progress();
                    match ready!(service.poll_ready(cx)) {
                        Ok(()) => {
                            let replay = this.replay.take();
                            let mut request = replay.expect("there is an attempt to come");
                            request.cx_mut().begin_next_attempt();
                            *this.replay = request.replay();
                            let attempt = service.call(request);
                            this.state.set(State::Called { attempt });
                            continue;
                        }
                        Err(error) => Poll::Ready(Err(furthest(this.failure.take(), error))),
                    }
                }
                StateProjection::Done => panic!("`RetryFuture` polled after completion"),
            };
            this.state.set(State::Done);
            *this.replay = None;
            return end;
        }
    }
}

impl<S: Clone, P: Policy> Again<S, P> {
    /// How long to wait before the next attempt, if there is one.
    fn wait(&self, replay: &impl Replay, error: &impl AsError) -> Option<Duration> {
        let error = error.as_error()?;
        let cx = replay.cx();
        let wait = self.policy.retry(cx, error)?;
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
            service: Box::new(self.spare.service()),
        }
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
