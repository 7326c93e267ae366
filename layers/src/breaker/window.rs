//! What share of the calls has failed, lately.

use std::{
    mem,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// Calls and failures of the last while, in two halves.
///
/// A success is one addition and reads no clock; time passes when there is a failure. Successes are put down in the
/// half that is open then, so after a long time without a failure the count begins with the first one.
#[derive(Debug)]
pub(super) struct Window {
    since: Instant,
    failed: u32,
    before: Half,
}

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    good: u32,
    failed: u32,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            failed: 0,
            before: Half::default(),
        }
    }

    /// Adds a failure to those that there were within `length`, and tells how many these are now, and of how many
    /// calls. `good` counts the successes of this half.
    pub(super) fn fail(&mut self, good: &AtomicU32, length: Duration, now: Instant) -> (u32, u32) {
        let age = now.saturating_duration_since(self.since);
        if age >= length / 2 {
            let half = Half {
                good: good.swap(0, Relaxed),
                failed: mem::take(&mut self.failed),
            };
            self.before = if age < length { half } else { Half::default() };
            self.since = now;
        }
        self.failed += 1;
        let failed = self.failed.saturating_add(self.before.failed);
        let good = good.load(Relaxed).saturating_add(self.before.good);
        (failed, failed.saturating_add(good))
    }

    /// Forgets all.
    pub(super) fn clear(&mut self, good: &AtomicU32) {
        good.store(0, Relaxed);
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    #[test]
    fn failures_and_calls_of_the_last_while_are_counted_and_older_ones_are_not() {
        let good = AtomicU32::new(0);
        let mut window = Window::new();
        let start = window.since;
        let mut fail = |second, calls| {
            good.fetch_add(calls, Relaxed);
            window.fail(&good, LENGTH, start + Duration::from_secs(second))
        };
        assert_eq!(fail(0, 7), (1, 8));
        assert_eq!(fail(4, 0), (2, 9));
        assert_eq!(fail(6, 3), (3, 13), "the half before counts");
        assert_eq!(fail(11, 0), (2, 2), "the one before that does not");
        assert_eq!(fail(21, 100), (1, 1), "nothing that is older counts");
    }
}
