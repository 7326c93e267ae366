//! So many calls in so long: exactly.

use std::time::Duration;

/// How often calls may be made: so many in a period, and so many at once.
///
/// In any stretch of time there are at most the burst and the calls that are due in it: `burst + calls × time / per`, to the
/// nanosecond. (It is a token bucket, or the generic cell rate algorithm, in whole numbers.)
///
/// ```
/// use std::time::Duration;
/// use steeple_layers::rate_limit::Rate;
///
/// let rate = Rate::per_second(100).burst(10);
/// assert_eq!(rate.to_string(), "100 calls per 1s");
/// assert_eq!(Rate::new(3, Duration::from_secs(60)).to_string(), "3 calls per 60s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    calls: u32,
    per: Duration,
    burst: u32,
}

/// How much of a rate has been used: the time up to which all calls are paid for, in parts of a nanosecond that are as
/// many as the calls of a period, so that nothing is ever rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Used(u128);

impl Rate {
    /// So many calls per second, all of which may come at once.
    pub fn per_second(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(1))
    }

    /// So many calls, at least 1, in so long, all of which may come at once.
    pub fn new(calls: u32, per: Duration) -> Self {
        let calls = calls.max(1);
        Self {
            calls,
            per,
            burst: calls,
        }
    }

    /// How many calls may come at once after a rest, at least 1. With 1 they are evenly spaced.
    #[must_use]
    pub fn burst(mut self, calls: u32) -> Self {
        self.burst = calls.max(1);
        self
    }

    /// How long it is until the call after `ahead` others may be made. Times count from any one beginning.
    pub(super) fn wait(&self, used: Used, ahead: usize, now: Duration) -> Duration {
        let paid = used.0.max(self.parts(now)) + self.price() * ahead as u128;
        let due = paid.saturating_sub(self.price() * u128::from(self.burst - 1));
        let wait = due.saturating_sub(self.parts(now));
        let nanos = wait.div_ceil(u128::from(self.calls));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Makes a call, which may be made now.
    pub(super) fn spend(&self, used: Used, now: Duration) -> Used {
        Used(used.0.max(self.parts(now)) + self.price())
    }

    /// Whether all that was used has come back.
    pub(super) fn is_whole(&self, used: Used, now: Duration) -> bool {
        used.0 <= self.parts(now)
    }

    fn parts(&self, time: Duration) -> u128 {
        self.nanos(time) * u128::from(self.calls)
    }

    /// What a call costs.
    fn price(&self) -> u128 {
        self.nanos(self.per)
    }

    /// At most 584 years, so that products with the number of calls fit.
    fn nanos(&self, time: Duration) -> u128 {
        time.as_nanos().min(u128::from(u64::MAX))
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} calls per {:?}", self.calls, self.per)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The bound of the documentation, over every stretch between two calls, for calls that wait as told.
        #[test]
        fn no_stretch_of_time_has_more_calls_than_the_burst_and_those_due(
            (calls, burst) in (1..50u32, 1..50u32),
            per in 1..5_000_000_000u64,
            pauses in prop::collection::vec(0..200_000_000u64, 1..60),
        ) {
            let rate = Rate::new(calls, Duration::from_nanos(per)).burst(burst);
            let (mut now, mut used) = (Duration::ZERO, Used::default());
            let mut made = Vec::new();
            for pause in pauses {
                now += Duration::from_nanos(pause);
                now += rate.wait(used, 0, now);
                prop_assert_eq!(rate.wait(used, 0, now), Duration::ZERO);
                used = rate.spend(used, now);
                made.push(now);
            }
            for (first, from) in made.iter().enumerate() {
                for (last, to) in made.iter().enumerate().skip(first) {
                    let stretch = (*to - *from).as_nanos();
                    let due = stretch * u128::from(calls) / u128::from(per);
                    prop_assert!((last - first + 1) as u128 <= u128::from(burst) + due);
                }
            }
        }

        /// Who calls whenever it may has every call that is due, but for the nanosecond that a clock cannot split.
        #[test]
        fn no_call_that_is_due_is_lost(calls in 1..2000u32, burst in 1..5u32, per in 1..5_000_000_000u64) {
            let rate = Rate::new(calls, Duration::from_nanos(per)).burst(burst);
            let (mut now, mut used) = (Duration::ZERO, Used::default());
            for _ in 0..calls + burst {
                now += rate.wait(used, 0, now);
                used = rate.spend(used, now);
            }
            let late = now.as_nanos() - u128::from(per);
            prop_assert!(late <= u128::from(calls + burst), "{late} ns");
        }
    }

    #[test]
    fn the_wait_behind_others_is_that_of_their_turns() {
        let rate = Rate::per_second(10).burst(2);
        let now = Duration::from_secs(7);
        let waits = [0, 1, 2, 3].map(|ahead| rate.wait(Used::default(), ahead, now).as_millis());
        assert_eq!(waits, [0, 0, 100, 200]);
    }

    #[test]
    fn no_setting_overflows() {
        let rate = Rate::new(u32::MAX, Duration::MAX).burst(u32::MAX);
        let used = rate.spend(Used::default(), Duration::MAX);
        assert!(!rate.is_whole(used, Duration::MAX));
        rate.wait(used, usize::MAX >> 1, Duration::MAX);
        let never = Rate::new(0, Duration::ZERO).burst(0);
        let used = never.spend(Used::default(), Duration::ZERO);
        assert_eq!(never.wait(used, 5, Duration::ZERO), Duration::ZERO);
    }
}
