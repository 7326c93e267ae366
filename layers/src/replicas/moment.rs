//! The clock of statistics.

use std::{sync::LazyLock, time::Duration};

use tokio::time::Instant;

/// A time as one word, which is cheap to store, to compare and to subtract: nanoseconds since the first of them,
/// and negative before.
///
/// An [`Instant`] is turned into one once, since that costs a good deal more than what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i64);

/// Within what an `i64` holds, which is 292 years.
fn nanos(time: Duration) -> i64 {
    let seconds = time.as_secs().cast_signed().wrapping_mul(1_000_000_000);
    seconds.wrapping_add(time.subsec_nanos().into())
}

/// Where moments are counted from. Any time will do.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Moment {
    #[inline]
    pub(crate) fn now() -> Self {
        Self::of(Instant::now())
    }

    #[inline]
    pub(crate) fn of(instant: Instant) -> Self {
        // A paused clock may stand at a time before the origin.
        Self(match instant.checked_duration_since(*ORIGIN) {
            Some(after) => nanos(after),
            None => -nanos(ORIGIN.saturating_duration_since(instant)),
        })
    }

    pub(super) fn instant(self) -> Instant {
        let distance = Duration::from_nanos(self.0.unsigned_abs());
        match self.0 {
            0.. => *ORIGIN + distance,
            _ => *ORIGIN - distance,
        }
    }

    /// The time since an earlier moment; none since a later one.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// In milliseconds that wrap after 49 days: only their differences mean anything.
    pub(super) fn millis(self) -> u32 {
        self.0.div_euclid(1_000_000) as u32
    }

    pub(super) fn from_word(word: i64) -> Self {
        Self(word)
    }

    pub(super) fn word(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_the_instant_it_was_made_of_before_the_origin_too() {
        let origin = *ORIGIN;
        let minute = Duration::from_secs(60);
        for instant in [origin - minute, origin, origin + minute] {
            assert_eq!(Moment::of(instant).instant(), instant);
        }
        let (earlier, later) = (Moment::of(origin - minute), Moment::of(origin + minute));
        assert_eq!(later.since(earlier), 2 * minute);
        assert_eq!(earlier.since(later), Duration::ZERO);
        assert_eq!(later.millis().wrapping_sub(earlier.millis()), 120_000);
    }
}
