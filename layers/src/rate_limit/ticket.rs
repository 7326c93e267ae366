//! The limit as all clones share it: with a lock, a clock and wakers.

use std::{
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    rate::Rate,
    table::{Entry, Limits, Table, Turn},
};
use crate::{Error, Execution, Kind, gated, timer::Timer};

/// Where calls are counted.
pub(super) struct Limiter<K> {
    limits: Limits,
    origin: Instant,
    table: Mutex<Table<K>>,
}

/// The place of a call that waits.
pub(super) struct Ticket<K: Hash + Eq + Clone> {
    limiter: Arc<Limiter<K>>,
    key: K,
    serial: u64,
    timer: Option<Timer>,
    has_passed: bool,
}

/// How often a call looks that waits for very long: so far ahead every clock can count.
const LOOK: Duration = Duration::from_secs(24 * 60 * 60);

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            origin: Instant::now(),
            table: Mutex::new(Table::new(limits)),
        })
    }

    /// Counts a call: it may be made now, or waits, or is refused.
    pub(super) fn enter(
        self: &Arc<Self>,
        key: K,
        deadline: Option<Instant>,
    ) -> Result<Option<Ticket<K>>, Error> {
        let mut table = self.table();
        // Read here, time never goes back for the table.
        let now = self.now();
        let patience = deadline.map(|at| (at - self.origin).saturating_sub(now));
        let entry = table.enter(&key, patience, now);
        drop(table);
        match entry {
            Entry::Passed => Ok(None),
            Entry::Waiting(serial) => Ok(Some(Ticket {
                limiter: self.clone(),
                key,
                serial,
                timer: None,
                has_passed: false,
            })),
            Entry::Refused(wait) => Err(self.refused(wait)),
            Entry::Full => Err(self.full()),
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn table(&self) -> MutexGuard<'_, Table<K>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, wait: Duration) -> Error {
        let text = format!("the rate limit of {} is reached", self.limits.rate);
        Error::new(Kind::Overflow, text)
            .with_execution(Execution::NotStarted)
            .with_retry_after(wait)
    }

    fn full(&self) -> Error {
        let text = format!("max_keys of {} is reached", self.limits.max_keys);
        Error::new(Kind::Overflow, text).with_execution(Execution::NotStarted)
    }
}

impl<K: Hash + Eq + Clone> gated::Ticket for Ticket<K> {
    type Pass = ();

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let mut table = self.limiter.table();
            let now = self.limiter.now();
            let (turn, next) = table.turn(&self.key, self.serial, cx.waker(), now);
            drop(table);
            next.into_iter().for_each(Waker::wake);
            let wait = match turn {
                Turn::Passed => {
                    self.has_passed = true;
                    return Poll::Ready(Ok(()));
                }
                Turn::Behind => return Poll::Pending,
                Turn::Next(wait) => wait,
            };
            let now = self.limiter.origin + now;
            let until = now + wait.min(LOOK);
            let timer = self.timer.get_or_insert_with(|| Timer::take(until, now));
            if timer.poll(until, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<K: Hash + Eq + Clone> Drop for Ticket<K> {
    fn drop(&mut self) {
        if !self.has_passed {
            let next = self.limiter.table().leave(&self.key, self.serial);
            next.into_iter().for_each(Waker::wake);
        }
    }
}

impl<K> Limiter<K> {
    pub(super) fn rate(&self) -> Rate {
        self.limits.rate
    }
}

impl<K> fmt::Debug for Limiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
