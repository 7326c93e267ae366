//! How long calls take: a percentile of the latest.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The latencies of the calls of all clones.
///
/// A clone keeps its samples until it has a few, and adds them to the histogram that all share: not every
/// call is worth that traffic. To know the percentile is to read one word.
#[derive(Debug)]
pub(super) struct Latencies {
    shared: Arc<Shared>,
    /// Microseconds, and 0 where there is nothing.
    kept: [AtomicU32; KEPT],
    next: AtomicU32,
}

#[derive(Debug)]
struct Shared {
    /// What part of the samples is not above the percentile.
    share: f64,
    /// Microseconds, and 0 while it is not known.
    percentile: AtomicU32,
    samples: Mutex<Samples>,
}

/// Of two spans of time, the one that goes on and the one before.
#[derive(Debug)]
struct Samples {
    now: Histogram,
    before: Histogram,
    since: Instant,
    /// Added since the percentile was last looked for.
    unseen: usize,
}

#[derive(Clone, Debug)]
struct Histogram {
    counts: Box<[u32]>,
    total: u64,
}

/// Samples that a clone keeps. What is kept is shared with the last of these, or the clone's end.
const KEPT: usize = 16;

/// Samples after which the percentile is looked for again: often enough, at the cost of a few nanoseconds each.
const SEEN: usize = 128;

/// How long a span lasts at least. It goes on until there are enough samples in it.
const SPAN: Duration = Duration::from_secs(10);

/// Samples above the percentile, of those that are enough: one alone would be chance.
const ABOVE: f64 = 2.0;

/// Samples that are enough at least.
const FEW: f64 = 50.0;

/// Buckets to every doubling, and so the most by which a bucket is wide: a sixteenth of what is in it.
const STEPS: u32 = 16;

/// Up to the largest number of microseconds, which is over an hour.
const BUCKETS: usize = bucket(u32::MAX) + 1;

impl Latencies {
    pub(super) fn new(percentile: f64) -> Self {
        #[expect(clippy::manual_clamp, reason = "`max` makes a number of what is none")]
        let share = percentile.max(1.0).min(99.99) / 100.0;
        Self::of(Arc::new(Shared {
            share,
            percentile: AtomicU32::new(0),
            samples: Mutex::new(Samples {
                now: Histogram::default(),
                before: Histogram::default(),
                since: Instant::now(),
                unseen: 0,
            }),
        }))
    }

    fn of(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            kept: Default::default(),
            next: AtomicU32::new(0),
        }
    }

    /// The percentile, once it is known: not less, and up to a sixteenth more.
    pub(super) fn percentile(&self) -> Option<Duration> {
        match self.shared.percentile.load(Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros.into())),
        }
    }

    /// Adds a call that took `sample` and ended at `now`.
    pub(super) fn add(&self, sample: Duration, now: Instant) {
        let micros = u32::try_from(sample.as_micros()).unwrap_or(u32::MAX);
        let place = self.next.fetch_add(1, Relaxed) as usize % KEPT;
        self.kept[place].store(micros.max(1), Relaxed);
        if place + 1 == KEPT {
            self.share(now);
        }
    }

    /// Another thread may be about to put down a sample here, which is shared the next time then.
    fn share(&self, now: Instant) {
        let kept = self.kept.iter().map(|sample| sample.swap(0, Relaxed));
        let mut samples = self.shared.samples();
        for micros in kept.filter(|micros| *micros > 0) {
            samples.add(micros);
        }
        if let Some(percentile) = samples.look(self.shared.share, now) {
            self.shared.percentile.store(percentile, Relaxed);
        }
    }
}

/// Of the same calls.
impl Clone for Latencies {
    fn clone(&self) -> Self {
        Self::of(self.shared.clone())
    }
}

impl Drop for Latencies {
    fn drop(&mut self) {
        if self.kept.iter().any(|sample| sample.load(Relaxed) > 0) {
            self.share(Instant::now());
        }
    }
}

impl Shared {
    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Samples {
    fn add(&mut self, micros: u32) {
        self.now.counts[bucket(micros)] += 1;
        self.now.total += 1;
        self.unseen += 1;
    }

    /// The percentile, if it is time to look for it and there are enough samples.
    fn look(&mut self, share: f64, now: Instant) -> Option<u32> {
        let total = self.before.total + self.now.total;
        let was_looked_for = total > self.unseen as u64;
        if was_looked_for && self.unseen < SEEN {
            return None;
        }
        let enough = (ABOVE / (1.0 - share)).max(FEW);
        if (total as f64) < enough {
            return None;
        }
        self.unseen = 0;
        let rank = (total as f64 * share).ceil() as u64;
        let percentile = self.at(rank);
        if now.saturating_duration_since(self.since) >= SPAN && self.now.total as f64 >= enough {
            self.before = mem::take(&mut self.now);
            self.since = now;
        }
        Some(percentile)
    }

    /// What that many samples are not above.
    fn at(&self, rank: u64) -> u32 {
        let mut passed = 0;
        let counts = self.now.counts.iter().zip(&self.before.counts);
        let found = counts.enumerate().find(|(_, (now, before))| {
            passed += u64::from(**now) + u64::from(**before);
            passed >= rank
        });
        found.map_or(u32::MAX, |(place, _)| highest(place))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS].into(),
            total: 0,
        }
    }
}

/// Where a number of microseconds is counted: exact as long as they are few, then by their highest five bits.
const fn bucket(micros: u32) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let doublings = micros.ilog2() - STEPS.ilog2();
    (doublings * STEPS + (micros >> doublings)) as usize
}

/// The most that is counted at that place.
fn highest(place: usize) -> u32 {
    let place = place as u32;
    if place < 2 * STEPS {
        return place;
    }
    let doublings = place / STEPS - 1;
    let lowest = (STEPS + place % STEPS) << doublings;
    lowest + ((1 << doublings) - 1)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn add(latencies: &Latencies, micros: impl IntoIterator<Item = u64>) {
        let now = Instant::now();
        for micros in micros {
            latencies.add(Duration::from_micros(micros), now);
        }
    }

    #[test]
    fn a_bucket_holds_what_differs_by_less_than_a_sixteenth() {
        for micros in (0..100_000).chain([1 << 20, u32::MAX / 3, u32::MAX - 1, u32::MAX]) {
            let most = highest(bucket(micros));
            assert!(most >= micros, "{micros} is above {most}");
            assert!(most - micros <= micros / 16, "{micros} counts as {most}");
            assert_eq!(bucket(most), bucket(micros));
        }
    }

    #[test]
    fn a_percentile_is_known_after_enough_calls_and_up_to_a_sixteenth_too_large() {
        for (percentile, of_10_000) in [(50.0, 5_000), (99.0, 9_900), (99.9, 9_990)] {
            let latencies = Latencies::new(percentile);
            add(&latencies, [100; 32]);
            assert_eq!(latencies.percentile(), None);
            let latencies = Latencies::new(percentile);
            let mut all: Vec<u64> = (1..=10_000).collect();
            fastrand::Rng::with_seed(1).shuffle(&mut all);
            add(&latencies, all);
            let known = latencies.percentile().unwrap().as_micros();
            // The last few calls are not looked at yet.
            let range = of_10_000 * 99 / 100..=of_10_000 * 107 / 100;
            assert!(range.contains(&known), "{percentile}: {known}");
        }
    }

    #[test]
    fn clones_know_what_all_have_seen() {
        let latencies = Latencies::new(90.0);
        for _ in 0..200 {
            add(&latencies.clone(), [700]);
        }
        let known = latencies.percentile().unwrap().as_micros();
        assert!((700..750).contains(&known), "{known}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_is_forgotten_after_two_spans_with_enough_calls() {
        let latencies = Latencies::new(50.0);
        let known = || latencies.percentile().unwrap().as_micros();
        add(&latencies, [10; 1024]);
        for _ in 0..3 {
            advance(SPAN).await;
            add(&latencies, [5_000; 512]);
        }
        assert!(known() > 4_000, "{}", known());
        advance(100 * SPAN).await;
        add(&latencies, [10; 16]);
        assert!(known() > 4_000, "too few to forget for: {}", known());
    }

    #[test]
    fn a_percentile_that_is_none_is_the_nearest() {
        for (given, share) in [
            (f64::NAN, 0.01),
            (-1.0, 0.01),
            (100.0, 0.9999),
            (1e9, 0.9999),
        ] {
            let known = Latencies::new(given).shared.share;
            assert!((known - share).abs() < 1e-9, "{known}");
        }
    }
}
