//! When a queue is no burst any more.

use std::time::Duration;

use tokio::time::Instant;

/// Tells overload from a burst as CoDel does: by how long the call has waited that has waited longest.
///
/// A burst makes a queue that is gone soon. Where the longest wait was above the target throughout an interval, the queue
/// stands: more comes than can be served, and it only makes all wait. Under overload the queue is kept short, so that it
/// is empty now and then whatever comes; it is over when throughout an interval more calls found a free place than were
/// shed, or nothing was to be decided for two.
///
/// A call that comes meanwhile and would still wait at the end of that interval would be shed then. So it is refused
/// when it comes, and what it proves is kept: those before it are served in time for the queue to seem short.
#[derive(Debug)]
pub(super) struct Overload {
    target: Duration,
    interval: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    Calm,
    /// The longest wait has been above the target for so long. Whether it will be to the end of the interval, by what has
    /// come since.
    Slow {
        since: Instant,
        is_foreseen: bool,
    },
    /// Judged last at this time, by what had become of calls then.
    Overload {
        judged_at: Instant,
        tally: Tally,
    },
}

/// What became of calls so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// They found a free place.
    pub(super) at_once: u64,
    pub(super) shed: u64,
}

impl Overload {
    pub(super) fn new(target: Duration, interval: Duration) -> Self {
        Self {
            target,
            interval,
            state: State::Calm,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        matches!(self.state, State::Overload { .. })
    }

    pub(super) fn target(&self) -> Duration {
        self.target
    }

    /// Whether a call that comes now, and is served after this wait, would be shed before, as the queue will have stood
    /// for too long.
    pub(super) fn foresees(&mut self, wait: Duration, now: Instant) -> bool {
        let passed = |since| now.saturating_duration_since(since);
        match &mut self.state {
            // Its own wait would be above the target throughout the interval.
            State::Calm => wait > self.target.saturating_add(self.interval),
            State::Slow { since, is_foreseen } => {
                let left = self.interval.saturating_sub(passed(*since));
                // A wait within the target is no sign of anything.
                let is_lost = wait > left.max(self.target);
                *is_foreseen |= is_lost;
                is_lost
            }
            State::Overload { .. } => false,
        }
    }

    /// Takes note of the call that has waited longest, if any waits.
    pub(super) fn note(&mut self, oldest: Option<Instant>, tally: Tally, now: Instant) {
        let waited = oldest.map(|oldest| now.saturating_duration_since(oldest));
        let is_slow = waited.is_some_and(|waited| waited > self.target);
        let passed = |since| now.saturating_duration_since(since);
        match self.state {
            State::Calm if is_slow => {
                self.state = State::Slow {
                    since: now,
                    is_foreseen: false,
                };
            }
            State::Slow { since, is_foreseen }
                if is_foreseen && !is_slow || is_slow && passed(since) >= self.interval =>
            {
                let judged_at = now;
                self.state = State::Overload { judged_at, tally };
            }
            State::Slow { .. } if !is_slow => self.state = State::Calm,
            State::Overload {
                judged_at,
                tally: before,
            } if passed(judged_at) >= self.interval => {
                let is_resting = passed(judged_at) >= 2 * self.interval;
                let (at_once, shed) = (tally.at_once - before.at_once, tally.shed - before.shed);
                self.state = match is_resting || at_once > shed {
                    true => State::Calm,
                    false => State::Overload {
                        judged_at: now,
                        tally,
                    },
                };
            }
            State::Calm | State::Slow { .. } | State::Overload { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A queue that is looked at every millisecond.
    struct House {
        overload: Overload,
        tally: Tally,
        now: Instant,
    }

    impl House {
        fn new() -> Self {
            Self {
                overload: Overload::new(5 * MS, 100 * MS),
                tally: Tally::default(),
                now: Instant::now(),
            }
        }

        /// What is thought of it after so many milliseconds of this longest wait, in each of which so many calls find a
        /// free place and so many are shed.
        fn is_overloaded_after(
            &mut self,
            time: u32,
            wait: u32,
            (at_once, shed): (u64, u64),
        ) -> bool {
            for _ in 0..time {
                self.now += MS;
                self.tally.at_once += at_once;
                self.tally.shed += shed;
                let oldest = self.now.checked_sub(MS * wait);
                self.overload.note(oldest, self.tally, self.now);
            }
            self.overload.is_on()
        }
    }

    #[test]
    fn only_a_wait_that_is_long_throughout_the_interval_is_an_overload() {
        let mut house = House::new();
        assert!(!house.is_overloaded_after(1000, 5, (0, 0)));
        assert!(!house.is_overloaded_after(100, 6, (0, 0)));
        assert!(!house.is_overloaded_after(1, 1, (0, 0)));
        assert!(!house.is_overloaded_after(100, 6, (0, 0)));
        assert!(house.is_overloaded_after(1, 6, (0, 0)));
    }

    #[test]
    fn what_would_wait_until_it_is_an_overload_proves_it_beforehand() {
        let mut house = House::new();
        let foresees = |house: &mut House, wait: u32| {
            let House { overload, now, .. } = house;
            overload.foresees(MS * wait, *now)
        };
        assert!(!foresees(&mut house, 105));
        assert!(foresees(&mut house, 106));
        assert!(!house.is_overloaded_after(1, 6, (0, 0)));
        assert!(!foresees(&mut house, 100));
        assert!(foresees(&mut house, 101));
        // It is served first what was promised to be.
        assert!(!house.is_overloaded_after(50, 6, (0, 0)));
        assert!(!foresees(&mut house, 50));
        assert!(house.is_overloaded_after(1, 5, (0, 0)));
        assert!(
            !foresees(&mut house, 1000),
            "there is nothing left to foresee"
        );
    }

    #[test]
    fn a_short_wait_is_no_sign_of_an_overload() {
        let mut house = House::new();
        assert!(!house.is_overloaded_after(100, 6, (0, 0)));
        assert!(!house.overload.foresees(5 * MS, house.now));
        assert!(!house.is_overloaded_after(1, 5, (0, 0)));
    }

    #[test]
    fn it_is_over_when_more_find_a_place_than_are_shed() {
        let mut house = House::new();
        assert!(house.is_overloaded_after(101, 6, (0, 0)));
        assert!(house.is_overloaded_after(1000, 0, (2, 3)));
        assert!(!house.is_overloaded_after(200, 0, (3, 2)));
    }

    #[test]
    fn it_is_over_when_nothing_is_to_be_decided_for_long() {
        let mut house = House::new();
        assert!(house.is_overloaded_after(102, 6, (0, 5)));
        house.now += 200 * MS;
        assert!(!house.is_overloaded_after(1, 6, (0, 5)));
    }
}
