//! Times in half the room, which are cheap to store and to subtract. For the layers and the connection: what they
//! are given and what they tell are [`Instant`]s.

use std::{fmt, sync::OnceLock, time::Duration};

use tokio::time::Instant;

/// A point in time, or none: nanoseconds before or after a time that all of the process count from.
///
/// A request has several and is moved through every layer of a stack, so each is a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    /// No point in time: before any.
    pub const NONE: Self = Self(i64::MIN);

    /// After any point in time.
    pub const NEVER: Self = Self(i64::MAX);

    /// Reads tokio's clock.
    #[inline]
    pub fn now() -> Self {
        Instant::now().into()
    }

    /// The moment of a [`word`](Self::word).
    pub const fn from_word(word: i64) -> Self {
        Self(word)
    }

    /// A number for an atomic.
    pub const fn word(self) -> i64 {
        self.0
    }

    /// So much later, if that can be represented.
    #[inline]
    pub fn after(self, time: Duration) -> Option<Self> {
        // Not by way of all nanoseconds, which are a number of 128 bits.
        let seconds = i64::try_from(time.as_secs()).ok()?;
        let nanos = seconds.checked_mul(1_000_000_000)?;
        let nanos = nanos.checked_add(i64::from(time.subsec_nanos()))?;
        self.0.checked_add(nanos).map(Self)
    }

    /// The time since an earlier moment; none since a later one.
    #[inline]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// The same, in nanoseconds.
    #[inline]
    pub fn nanos_since(self, earlier: Self) -> u64 {
        let nanos = self.0.saturating_sub(earlier.0);
        u64::try_from(nanos).unwrap_or(0)
    }

    /// In milliseconds that wrap after 49 days: only their differences mean anything.
    pub fn millis(self) -> u32 {
        self.0.div_euclid(1_000_000) as u32
    }

    /// The time as others know it. Those more than 292 years from now are that far.
    #[inline]
    pub fn instant(self) -> Option<Instant> {
        if self == Self::NONE {
            return None;
        }
        let distance = Duration::from_nanos(self.0.unsigned_abs());
        match self.0 < 0 {
            true => origin().checked_sub(distance),
            false => origin().checked_add(distance),
        }
    }
}

impl From<Instant> for Moment {
    #[inline]
    fn from(instant: Instant) -> Self {
        let nanos = |distance: Duration| i64::try_from(distance.as_nanos()).unwrap_or(i64::MAX);
        Self(match instant.checked_duration_since(origin()) {
            Some(after) => nanos(after),
            None => -nanos(origin() - instant),
        })
    }
}

impl From<Option<Instant>> for Moment {
    fn from(instant: Option<Instant>) -> Self {
        instant.map_or(Self::NONE, Self::from)
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.instant(), f)
    }
}

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_of_a_process_is_kept_to_the_nanosecond_and_in_order() {
        let now = Instant::now();
        let distances =
            [0, 1, 999_999_999, 1_000_000_000, 3_600_000_000_007].map(Duration::from_nanos);
        let before = distances
            .into_iter()
            .rev()
            .filter_map(|it| now.checked_sub(it));
        let times: Vec<_> = before.chain(distances.map(|it| now + it)).collect();
        for time in &times {
            assert_eq!(Moment::from(*time).instant(), Some(*time));
        }
        assert!(times.is_sorted_by_key(|time| Moment::from(*time)));
    }

    #[test]
    fn what_lies_between_two_moments_is_what_lies_between_their_instants() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let (moment, later) = (Moment::from(now), Moment::from(now + minute));
        assert_eq!(later.since(moment), minute);
        assert_eq!(moment.since(later), Duration::ZERO);
        assert_eq!(moment.after(minute), Some(later));
        assert_eq!(moment.after(Duration::MAX), None);
        assert_eq!(later.millis().wrapping_sub(moment.millis()), 60_000);
        assert_eq!(Moment::from_word(later.word()), later);
    }

    #[test]
    fn none_is_none_and_what_is_too_far_is_far() {
        assert_eq!(Moment::from(None).instant(), None);
        let century = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        let far = Instant::now() + 9 * century;
        let kept = Moment::from(far).instant().expect("a time");
        assert!(kept < far && kept > far - 7 * century);
    }
}
