//! Which routes are too slow to be polled where their requests come in.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// How long the first polls of a route take, as far as is known.
///
/// A route that was slow once is moved off, and comes back when its polls have been fast many times in a
/// row: the one slow poll may have been its first, or one in which the system took the processor away.
#[derive(Debug)]
pub(super) struct Pace {
    /// Fast polls until the route is polled in place again: 0 while it is, [`UNSEEN`] before its first poll.
    fast_needed: AtomicU32,
    threshold: Duration,
}

/// The longest that a poll may keep the other requests of its connection from theirs. A task costs about half
/// a microsecond, so what takes longer than this does not feel it.
pub(super) const THRESHOLD: Duration = Duration::from_micros(20);

/// Fast polls in a row after which a route that was slow is taken for fast.
const FORGIVEN_AFTER: u32 = 64;

/// One poll in so many is timed, of those in place: reading the clock twice costs as much as an empty handler.
/// A prime, so that no pattern of calls keeps in step with it.
const SAMPLED: u32 = 61;

const UNSEEN: u32 = u32::MAX;

thread_local! {
    static POLLS: Cell<u32> = const { Cell::new(0) };
}

impl Pace {
    pub(super) fn new(threshold: Duration) -> Self {
        Self {
            fast_needed: AtomicU32::new(UNSEEN),
            threshold,
        }
    }

    /// Whether the next call is to be moved off before it begins.
    pub(super) fn is_slow(&self) -> bool {
        // Relaxed, here and below: a hint, which guards nothing.
        (1..UNSEEN).contains(&self.fast_needed.load(Ordering::Relaxed))
    }

    /// A handler begins. The time, if it is to be told how long its first poll [took](Self::took).
    pub(super) fn begin(&self) -> Option<Instant> {
        let in_place = self.fast_needed.load(Ordering::Relaxed) == 0;
        (!in_place || is_sampled()).then(Instant::now)
    }

    /// Tells how long a handler was called and polled for the first time.
    pub(super) fn took(&self, time: Duration) {
        let needed = match self.fast_needed.load(Ordering::Relaxed) {
            _ if time > self.threshold => FORGIVEN_AFTER,
            UNSEEN => 0,
            needed => needed.saturating_sub(1),
        };
        self.fast_needed.store(needed, Ordering::Relaxed);
    }
}

fn is_sampled() -> bool {
    let polls = POLLS.get() + 1;
    POLLS.set(polls % SAMPLED);
    polls == SAMPLED
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = THRESHOLD;
    const SLOW: Duration = Duration::from_micros(21);

    #[test]
    fn a_route_is_slow_from_the_first_slow_poll_until_many_were_fast() {
        let pace = Pace::new(THRESHOLD);
        assert!(!pace.is_slow());
        pace.took(FAST);
        assert!(!pace.is_slow());
        pace.took(SLOW);
        for _ in 1..FORGIVEN_AFTER {
            pace.took(FAST);
            assert!(pace.is_slow());
        }
        pace.took(FAST);
        assert!(!pace.is_slow());
    }

    #[test]
    fn one_slow_poll_among_fast_ones_keeps_a_route_off() {
        let pace = Pace::new(THRESHOLD);
        for call in 0..10 * FORGIVEN_AFTER {
            pace.took(if call % 50 == 0 { SLOW } else { FAST });
            assert!(pace.is_slow());
        }
    }

    #[test]
    fn one_poll_in_so_many_is_timed() {
        let sampled = (0..10 * SAMPLED).filter(|_| is_sampled()).count();
        assert_eq!(sampled, 10);
    }
}
