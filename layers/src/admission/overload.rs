//! When a queue is no burst any more.

use std::time::Duration;

use tokio::time::Instant;

/// Tells overload from a burst as CoDel does: by how long the call has waited that has waited longest.
///
/// A burst makes a queue that is gone soon. Where the longest wait was above the target throughout an interval, the queue
/// stands: more comes than can be served, and it only makes all wait. That is over when the queue is empty.
#[derive(Debug)]
pub(super) struct Overload {
    target: Duration,
    interval: Duration,
    /// Since when the longest wait has been above the target.
    above_since: Option<Instant>,
    is_on: bool,
}

impl Overload {
    pub(super) fn new(target: Duration, interval: Duration) -> Self {
        Self {
            target,
            interval,
            above_since: None,
            is_on: false,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    pub(super) fn target(&self) -> Duration {
        self.target
    }

    /// Takes note of the call that has waited longest, or that none waits.
    pub(super) fn note(&mut self, oldest: Option<Instant>, now: Instant) {
        let Some(oldest) = oldest else {
            self.above_since = None;
            self.is_on = false;
            return;
        };
        if now.saturating_duration_since(oldest) <= self.target {
            self.above_since = None;
            return;
        }
        let since = *self.above_since.get_or_insert(now);
        self.is_on |= now.saturating_duration_since(since) >= self.interval;
    }
}
