//! A call and its hedges.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{Again, Delay};
use crate::{
    AsError, Error, Kind, Replay,
    retry::furthest,
    timer::Timer,
    tried::{self, Seen},
};

pin_project! {
    /// The answer of a [`Hedge`](super::Hedge). Dropping it cancels all attempts.
    ///
    /// # Panics
    /// If a call that may be hedged is pending outside of a tokio runtime with timers; as any future, if it is
    /// polled after it was ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct HedgeFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        first: First<S::Future>,
        // Nothing for a call that is not hedged.
        hedging: Option<Hedging<S, R>>,
    }
}

pin_project! {
    #[project = FirstProjection]
    enum First<F> {
        /// It is under way.
        Called {
            #[pin]
            attempt: F,
        },
        /// It failed, or lost, or its result was taken.
        Over,
    }
}

/// An attempt after the first. It has an allocation, as few calls have any.
type Hedge<S, R> = Pin<Box<Attempt<S, R, <S as Service<R>>::Future>>>;

/// All but the first attempt.
struct Hedging<S: Service<R>, R> {
    again: Arc<Again<S>>,
    start: Instant,
    /// Whether the percentile may learn how long the call takes.
    teaches: bool,
    /// Nothing, if there is to be none any more.
    next: Option<Next<R>>,
    attempts: Vec<Hedge<S, R>>,
    /// Of the attempts that have failed, that of the one which got furthest.
    failure: Option<S::Error>,
}

/// What the next hedge is made of.
struct Next<R> {
    /// A copy of the request as it was sent last, with the highest number of an attempt so far.
    replay: R,
    at: Instant,
    /// Taken when the call is first pending.
    timer: Option<Timer>,
    /// How many there can be, this one included.
    left: u32,
}

pin_project! {
    #[project = AttemptProjection]
    enum Attempt<S, R, F> {
        /// The service is made ready.
        Readying { service: S, request: Option<R> },
        /// It is under way.
        Called {
            #[pin]
            attempt: F,
        },
    }
}

impl<S: Service<R>, R> HedgeFuture<S, R> {
    /// One attempt and no other.
    pub(super) fn once(attempt: S::Future) -> Self {
        Self {
            first: First::Called { attempt },
            hedging: None,
        }
    }
}

impl<S: Service<R>, R: Replay> HedgeFuture<S, R> {
    pub(super) fn new(attempt: S::Future, start: Instant, replay: R, again: Arc<Again<S>>) -> Self {
        let delay = &again.settings.delay;
        // One that says itself when it is hedged, and that is sooner, may have its answer from a hedge before it is known
        // whether it was slow. Those of its kind that are fast would say too little by themselves.
        let teaches = replay
            .cx()
            .hedge_delay()
            .is_none_or(|own| own >= delay.now());
        let next = Next::new(replay, again.settings.hedges, start, delay);
        Self {
            first: First::Called { attempt },
            hedging: Some(Hedging {
                again,
                start,
                teaches,
                next,
                attempts: Vec::new(),
                failure: None,
            }),
        }
    }
}

impl<S, R> Future for HedgeFuture<S, R>
where
    R: Replay,
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (first, mut runs) = match this.first.as_mut().project() {
            FirstProjection::Called { attempt } => {
                let (polled, seen) = tried::watch(|| attempt.poll(cx));
                if let Some(hedging) = this.hedging {
                    hedging.learn(seen);
                }
                (polled, true)
            }
            FirstProjection::Over if this.hedging.is_some() => (Poll::Pending, false),
            FirstProjection::Over => panic!("`HedgeFuture` polled after completion"),
        };
        let result = match this.hedging.as_mut() {
            None => ready!(first),
            Some(hedging) => {
                let mut end = None;
                if let Poll::Ready(result) = first {
                    this.first.set(First::Over);
                    runs = false;
                    end = hedging.judge(result, false);
                }
                match end {
                    Some(end) => end,
                    None => ready!(hedging.poll(runs, cx)),
                }
            }
        };
        // Who has lost is cancelled now, and not when the caller lets go of this future.
        this.first.set(First::Over);
        *this.hedging = None;
        Poll::Ready(result)
    }
}

impl<S, R> Hedging<S, R>
where
    R: Replay,
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
{
    /// Polls the hedges, and begins another when its time has come.
    fn poll(
        &mut self,
        first_runs: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>> {
        loop {
            let mut place = 0;
            while let Some(attempt) = self.attempts.get_mut(place) {
                let (polled, seen) = tried::watch(|| attempt.as_mut().poll(cx));
                self.learn(seen);
                let Poll::Ready(result) = polled else {
                    place += 1;
                    continue;
                };
                self.attempts.swap_remove(place);
                if let Some(end) = self.judge(result, first_runs) {
                    return Poll::Ready(end);
                }
            }
            ready!(self.poll_next(cx));
        }
    }

    /// Notes where the attempts are, so that the next goes elsewhere, and how many there were. Where it could not go
    /// elsewhere, there is no next one.
    fn learn(&mut self, seen: Seen) {
        if seen.was_last() {
            self.next = None;
        } else if let Some(next) = &mut self.next {
            next.replay.cx_mut().learn(seen);
        }
    }

    /// The end of the call, if this result of an attempt is that.
    fn judge(
        &mut self,
        result: Result<S::Response, S::Error>,
        first_runs: bool,
    ) -> Option<Result<S::Response, S::Error>> {
        let error = match result {
            Ok(response) => {
                self.measure();
                return Some(Ok(response));
            }
            Err(error) => error,
        };
        let waits = error.as_error().is_none_or(is_passing);
        if error
            .as_error()
            .is_some_and(|error| error.retry_after().is_some())
        {
            self.next = None;
        }
        let error = furthest(self.failure.take(), error);
        if waits && (first_runs || !self.attempts.is_empty()) {
            self.failure = Some(error);
            return None;
        }
        Some(Err(error))
    }

    /// Counts the call among those by which a percentile is known. One that was hedged would have taken longer than
    /// this; it stays above the percentile, which is all that matters.
    fn measure(&self) {
        if let Delay::Learned { latencies, .. } = &self.again.settings.delay
            && self.teaches
        {
            let now = Instant::now();
            latencies.add(now.saturating_duration_since(self.start), now);
        }
    }

    /// Is ready once there is another hedge.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(next) = &mut self.next else {
            return Poll::Pending;
        };
        let timer = next
            .timer
            .get_or_insert_with(|| Timer::take(next.at, self.start));
        ready!(timer.poll(next.at, cx));
        let Some(next) = self.next.take().filter(Next::is_allowed) else {
            return Poll::Pending;
        };
        let settings = &self.again.settings;
        if !settings.budget.withdraw() {
            return Poll::Pending;
        }
        let (request, left) = next.into_request();
        if left > 0
            && let Some(replay) = request.replay()
        {
            self.next = Next::new(replay, left, Instant::now(), &settings.delay);
        }
        let cx = request.cx();
        tracing::debug!(target: "steeple::call", method = %cx.method(), attempt = cx.attempt(), "hedging");
        self.attempts.push(Box::pin(Attempt::Readying {
            service: self.again.spare.service(),
            request: Some(request),
        }));
        Poll::Ready(())
    }
}

impl<R: Replay> Next<R> {
    /// The next hedge, unless its time would come after the deadline, or the call has had all its attempts.
    fn new(replay: R, left: u32, since: Instant, delay: &Delay) -> Option<Self> {
        let cx = replay.cx();
        let at = since.checked_add(cx.hedge_delay().unwrap_or_else(|| delay.now()))?;
        let in_time = cx.deadline().is_none_or(|deadline| at < deadline);
        let next = Self {
            replay,
            at,
            timer: None,
            left,
        };
        (in_time && next.is_allowed()).then_some(next)
    }

    /// Whether the call has an attempt left.
    fn is_allowed(&self) -> bool {
        let cx = self.replay.cx();
        let number = cx.attempt().saturating_add(1);
        cx.max_attempts().is_none_or(|most| number < most)
    }

    /// The request of the hedge, and how many there can be after it.
    fn into_request(self) -> (R, u32) {
        let mut request = self.replay;
        request.cx_mut().begin_next_attempt();
        (request, self.left - 1)
    }
}

impl<S, R> Future for Attempt<S, R, S::Future>
where
    S: Service<R>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let attempt = match self.as_mut().project() {
                AttemptProjection::Called { attempt } => return attempt.poll(cx),
                AttemptProjection::Readying { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(request.take().expect("an attempt begins once"))
                }
            };
            self.set(Attempt::Called { attempt });
        }
    }
}

/// Whether another attempt could end otherwise.
fn is_passing(error: &Error) -> bool {
    !matches!(
        error.kind(),
        Kind::Application
            | Kind::Invalid
            | Kind::PermissionDenied
            | Kind::Unauthenticated
            | Kind::Unimplemented
    )
}

impl<S: Service<R>, R> fmt::Debug for HedgeFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hedges = self.hedging.as_ref().map(|hedging| hedging.attempts.len());
        f.debug_struct("HedgeFuture")
            .field("hedges", &hedges.unwrap_or_default())
            .finish_non_exhaustive()
    }
}
