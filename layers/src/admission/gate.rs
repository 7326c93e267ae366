//! The queue as all connections share it: with a lock, a clock and wakers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    limit::{Gradient, Limit},
    overload::Overload,
    priority::Priority,
    queue::{Entry, Place, Queue, Verdict, Woken, last_moment},
    stats::Stats,
};
use crate::{AsError, Error, Execution, Kind, decided, gated, timer::Timer};

/// What a gate is made of.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) limit: Limit,
    pub(super) max_waiting: usize,
    pub(super) target: Duration,
    pub(super) interval: Duration,
}

/// Where calls are let through.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Whether the time of calls is taken.
    is_adaptive: bool,
    /// When one that was shed may come back: not before the queue is judged anew.
    retry_after: Duration,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    gradient: Option<Gradient>,
}

/// Leave to run.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    /// Only where that is of use.
    since: Option<Instant>,
    /// Whether the call succeeded.
    has_answered: bool,
}

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Ticket {
    gate: Arc<Gate>,
    place: Place,
    /// When the call is told that its time is over.
    until: Option<Instant>,
    timer: Option<Timer>,
    since: Instant,
    /// Whether the verdict was taken.
    is_used: bool,
}

/// What becomes of a call.
pub(super) enum Admitted {
    Now(Pass),
    Later(Ticket),
    Never(Error),
}

impl Gate {
    pub(super) fn new(settings: &Settings) -> Arc<Self> {
        let Settings {
            limit,
            max_waiting,
            target,
            interval,
        } = settings;
        let overload = Overload::new(*target, *interval);
        let gradient = limit.gradient();
        Arc::new(Self {
            is_adaptive: gradient.is_some(),
            state: Mutex::new(State {
                queue: Queue::new(limit.first(), *max_waiting, overload),
                gradient,
            }),
            retry_after: *interval,
        })
    }

    pub(super) fn stats(&self) -> Stats {
        self.change(|state, now, woken| {
            state.queue.look(now, woken);
            state.queue.stats()
        })
    }

    /// Lets a call through if there is room.
    pub(super) fn enter_at_once(self: &Arc<Self>) -> Option<Pass> {
        let is_in = self.state().queue.enter_at_once();
        is_in.then(|| self.pass())
    }

    /// Takes a call that was not let through at once.
    pub(super) fn enter(
        self: &Arc<Self>,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Admitted {
        let (entry, since) = self
            .change(|state, now, woken| (state.queue.enter(priority, deadline, now, woken), now));
        match entry {
            Entry::Decided(Verdict::Admitted) => Admitted::Now(self.pass()),
            Entry::Decided(Verdict::Shed) => Admitted::Never(self.shed()),
            Entry::Decided(Verdict::Expired) => Admitted::Never(hopeless()),
            Entry::Waiting(place) => Admitted::Later(Ticket {
                gate: self.clone(),
                place,
                until: deadline.map(last_moment),
                timer: None,
                since,
                is_used: false,
            }),
        }
    }

    /// Refuses a call whose deadline had passed when it came.
    pub(super) fn late(&self) -> Error {
        self.state().queue.refuse(Verdict::Expired);
        Error::new(Kind::Timeout, "the deadline had passed before the call")
            .with_execution(Execution::NotStarted)
    }

    fn pass(self: &Arc<Self>) -> Pass {
        Pass {
            gate: self.clone(),
            since: self.is_adaptive.then(Instant::now),
            has_answered: false,
        }
    }

    fn shed(&self) -> Error {
        Error::new(Kind::Overflow, "shed: more calls wait than can be served")
            .with_execution(Execution::NotStarted)
            .with_retry_after(self.retry_after)
    }

    /// Changes the queue, and wakes whom that concerns when others may change it again.
    fn change<T>(&self, change: impl FnOnce(&mut State, Instant, &mut Woken) -> T) -> T {
        let mut woken = Woken::default();
        let mut state = self.state();
        // Read here, time never goes back for the queue.
        let changed = change(&mut state, Instant::now(), &mut woken);
        drop(state);
        woken.wake();
        changed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A call of which this is known runs no longer.
    fn release(&mut self, time: Option<Duration>, now: Instant, woken: &mut Woken) {
        let Self { queue, gradient } = self;
        if let (Some(gradient), Some(time)) = (gradient, time)
            && gradient.note(time, queue.running(), now)
        {
            queue.set_limit(gradient.limit(), now, woken);
        }
        queue.release(now, woken);
    }
}

impl decided::Pass for Pass {
    fn ended<E: AsError>(&mut self, error: Option<&E>) {
        self.has_answered = error.is_none();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let since = self.since.filter(|_| self.has_answered);
        if since.is_none() && self.gate.state().queue.release_at_once() {
            return;
        }
        self.gate.change(|state, now, woken| {
            let time = since.map(|since| now.saturating_duration_since(since));
            state.release(time, now, woken);
        });
    }
}

impl gated::Ticket for Ticket {
    type Pass = Pass;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pass, Error>> {
        let is_late = self.until.is_some_and(|until| {
            let timer = self
                .timer
                .get_or_insert_with(|| Timer::take(until, self.since));
            timer.poll(until, cx).is_ready()
        });
        let place = self.place;
        let verdict = if is_late {
            self.gate.change(|state, now, woken| {
                state.queue.expire(place, now, woken);
                state.queue.verdict(place, cx.waker())
            })
        } else {
            self.gate.state().queue.verdict(place, cx.waker())
        };
        let Some(verdict) = verdict else {
            return Poll::Pending;
        };
        self.is_used = true;
        Poll::Ready(match verdict {
            Verdict::Admitted => Ok(self.gate.pass()),
            Verdict::Shed => Err(self.gate.shed()),
            Verdict::Expired => Err(expired()),
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_used {
            let place = self.place;
            self.gate
                .change(|state, now, woken| state.queue.leave(place, now, woken));
        }
    }
}

fn expired() -> Error {
    Error::new(Kind::Timeout, "expired in queue").with_execution(Execution::NotStarted)
}

/// Another server may have time, so there is nothing to wait for.
fn hopeless() -> Error {
    Error::new(
        Kind::Overflow,
        "the deadline cannot be met: too many calls wait",
    )
    .with_execution(Execution::NotStarted)
}
