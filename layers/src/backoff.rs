//! How long to wait before trying again.

use std::time::Duration;

use fastrand::Rng;

/// Waits that grow, and differ from one caller to the next.
///
/// The first wait is `min`, each one `factor` times the one before, none longer than `max`. From each a random
/// part is taken away, so that those who failed together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use steeple_layers::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1)).jitter(0.0);
/// assert_eq!(backoff.wait(0, 1), Duration::from_millis(10));
/// assert_eq!(backoff.wait(3, 1), Duration::from_millis(80));
/// assert_eq!(backoff.wait(99, 1), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    factor: f64,
    jitter: f64,
}

impl Backoff {
    /// Waits from `min` to `max` that double, and of which up to a half is taken away.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            factor: 2.0,
            jitter: 0.5,
        }
    }

    /// The first wait.
    pub fn min(&self) -> Duration {
        self.min
    }

    /// The longest wait.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// How much longer each wait is than the one before; 1 and anything below keep them equal.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor.max(1.0);
        self
    }

    /// The largest part of a wait that is taken away at random: 0 is none, 1 is all of it.
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = part.clamp(0.0, 1.0);
        self
    }

    /// The wait after `earlier` waits, for a caller with this seed: the same for the same arguments.
    pub fn wait(&self, earlier: u32, seed: u64) -> Duration {
        let exponent = i32::try_from(earlier).unwrap_or(i32::MAX);
        // Multiplied by a factor that has grown beyond all numbers, no wait at all would be none.
        let growth = self.factor.powi(exponent).min(f64::MAX);
        let longest = (self.min.as_secs_f64() * growth).min(self.max.as_secs_f64());
        let mut rng = Rng::with_seed(seed ^ u64::from(earlier).wrapping_mul(SPREAD));
        Duration::try_from_secs_f64(longest * (1.0 - self.jitter * rng.f64())).unwrap_or(self.max)
    }
}

/// Takes the seeds of successive waits far apart: 2^64 divided by the golden ratio, odd.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// From 10 milliseconds to one second.
impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(10), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_loses_at_most_its_jitter_and_repeats_for_its_seed() {
        let backoff = Backoff::default().jitter(0.4);
        let whole = backoff.jitter(0.0);
        for (earlier, seed) in (0..12).flat_map(|n| (0..50).map(move |seed| (n, seed))) {
            let wait = backoff.wait(earlier, seed);
            let most = whole.wait(earlier, seed);
            assert!(
                wait <= most && wait >= most.mul_f64(0.6),
                "{wait:?} {most:?}"
            );
            assert_eq!(wait, backoff.wait(earlier, seed));
        }
    }

    #[test]
    fn callers_that_failed_together_come_back_apart() {
        let backoff = Backoff::default();
        let mut waits: Vec<_> = (1..=100).map(|seed| backoff.wait(4, seed)).collect();
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 95, "{}", waits.len());
    }

    #[test]
    fn no_setting_makes_a_wait_that_is_none() {
        let (zero, long) = (Duration::ZERO, Duration::MAX);
        assert_eq!(Backoff::new(zero, long).wait(u32::MAX, 1), zero);
        assert_eq!(Backoff::new(long, long).jitter(0.0).wait(7, 1), long);
        let odd = Backoff::new(Duration::from_secs(1), long);
        assert_eq!(odd.factor(f64::NAN).jitter(-3.0).wait(9, 1).as_secs(), 1);
    }
}
