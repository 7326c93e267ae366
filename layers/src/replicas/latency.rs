//! How long the calls of a replica take, lately.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A peak-sensitive moving average of latencies: it follows a slow call at once and forgets it over time,
/// whether or not there are calls.
#[derive(Debug)]
pub(super) struct Latency {
    /// One word, so that the average and its age are always of the same moment: nanoseconds as `f32` above,
    /// milliseconds of the owner's clock below.
    word: AtomicU64,
    /// The milliseconds in which an average falls to a third of what it was, if nothing is added.
    memory: f32,
}

/// No call is known to be faster, so that the number of pending calls counts for a replica without history.
const LEAST: f32 = 1_000.0;

impl Latency {
    pub(super) fn new(memory: Duration) -> Self {
        Self {
            word: AtomicU64::new(pack(LEAST, 0)),
            // Less than a tick of the clock would be no average at all.
            memory: (memory.as_secs_f32() * 1e3).max(1.0),
        }
    }

    /// The average at `now`, in nanoseconds.
    #[inline]
    pub(super) fn estimate(&self, now: u32) -> f32 {
        let (average, at) = unpack(self.word.load(Relaxed));
        (average * self.fade(at, now)).max(LEAST)
    }

    /// Whether nothing was added in the millisecond of `now` yet.
    #[inline]
    pub(super) fn is_news(&self, now: u32) -> bool {
        unpack(self.word.load(Relaxed)).1 != now
    }

    /// Adds a call that took `sample` nanoseconds and ended at `now`.
    #[inline]
    pub(super) fn add(&self, sample: u64, now: u32) {
        let sample = sample as f32;
        self.update(|average, at| {
            if sample >= average {
                return Some((sample, now));
            }
            let fade = self.fade(at, now);
            // Of a fast call in the same millisecond nothing is to be seen: all cores read the word, and few write it.
            (fade < 1.0).then_some((average * fade + sample * (1.0 - fade), now))
        });
    }

    /// Adds what is known of a call that was given up: it would have taken longer than `sample` nanoseconds.
    pub(super) fn add_at_least(&self, sample: u64, now: u32) {
        let sample = sample as f32;
        self.update(|average, at| {
            let faded = average * self.fade(at, now);
            (sample > faded).then_some((sample, now))
        });
    }

    /// How much of an average of `at` is left at `now`.
    fn fade(&self, at: u32, now: u32) -> f32 {
        // The clock wraps after 49 days; and of two callers, the later may be the first to arrive here.
        let elapsed = now.wrapping_sub(at).cast_signed();
        if elapsed <= 0 {
            return 1.0;
        }
        (-(elapsed as f32) / self.memory).exp()
    }

    /// Puts what `step` makes of the average and its age in their place, if it makes anything of them.
    fn update(&self, step: impl Fn(f32, u32) -> Option<(f32, u32)>) {
        let packed = |word| {
            let (average, at) = unpack(word);
            let (average, at) = step(average, at)?;
            Some(pack(average.max(LEAST), at))
        };
        let _as_it_was = self.word.fetch_update(Relaxed, Relaxed, packed);
    }
}

fn pack(average: f32, at: u32) -> u64 {
    u64::from(average.to_bits()) << 32 | u64::from(at)
}

fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In nanoseconds.
    const MS: u64 = 1_000_000;
    const MEMORY: Duration = Duration::from_secs(10);

    #[test]
    fn a_slow_call_counts_at_once_and_is_forgotten_over_time() {
        let latency = Latency::new(MEMORY);
        latency.add(MS, 0);
        latency.add(100 * MS, 1);
        assert_eq!(latency.estimate(1), 1e8);
        let later = latency.estimate(10_001);
        assert!((0.36e8..0.37e8).contains(&later), "{later}");
        assert_eq!(latency.estimate(u32::MAX / 2), LEAST);
    }

    #[test]
    fn fast_calls_pull_an_average_down_by_the_time_they_stand_for() {
        let latency = Latency::new(MEMORY);
        latency.add(100 * MS, 0);
        for now in 1..=10_000 {
            latency.add(MS, now);
        }
        let average = latency.estimate(10_000);
        assert!((3.6e7..3.8e7).contains(&average), "{average}");
    }

    #[test]
    fn a_call_that_was_given_up_can_only_raise_the_average() {
        let latency = Latency::new(MEMORY);
        latency.add(10 * MS, 0);
        latency.add_at_least(MS, 1);
        assert_eq!(latency.estimate(0), 1e7);
        latency.add_at_least(20 * MS, 2);
        assert_eq!(latency.estimate(2), 2e7);
    }

    #[test]
    fn a_clock_that_seems_to_run_back_changes_nothing() {
        let latency = Latency::new(MEMORY);
        latency.add(10 * MS, 1_000);
        assert_eq!(latency.estimate(500), 1e7);
    }
}
