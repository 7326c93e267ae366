//! Time as a connection counts it.

use std::time::Duration;

use steeple_layers::moment::Moment;
use tokio::time::Instant;

/// Milliseconds since the connection began: coarse, so that a deadline is a number in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

/// The beginning of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Moment,
}

/// In a tick.
const NANOS: u64 = 1_000_000;

impl Tick {
    /// Later than any other.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    #[cfg(test)]
    pub(crate) const fn new(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// This much later, rounded up.
    pub(crate) fn after(self, wait: Duration) -> Self {
        let rest = u64::from(wait.subsec_micros().div_ceil(1000));
        let wait = wait.as_secs().saturating_mul(1000).saturating_add(rest);
        Self(self.0.saturating_add(wait))
    }

    /// Later by the time between two others.
    pub(crate) fn later(self, from: Self, until: Self) -> Self {
        Self(self.0.saturating_add(until.0.saturating_sub(from.0)))
    }
}

impl Clock {
    pub(crate) fn new(origin: Moment) -> Self {
        Self { origin }
    }

    /// The tick that `now` is in.
    #[inline]
    pub(crate) fn tick(&self, now: Moment) -> Tick {
        Tick(now.nanos_since(self.origin) / NANOS)
    }

    /// The first tick that does not begin before `deadline`, if there is one: reaching it is never early.
    #[inline]
    pub(crate) fn deadline(&self, deadline: Moment) -> Tick {
        match deadline {
            Moment::NONE => Tick::NEVER,
            deadline => Tick(deadline.nanos_since(self.origin).div_ceil(NANOS)),
        }
    }

    /// When `tick` begins; `None` if that is beyond the clock.
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        let since = (tick != Tick::NEVER).then_some(Duration::from_millis(tick.0))?;
        self.origin.after(since)?.instant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early_and_at_most_a_tick_late() {
        let origin = Instant::now();
        let clock = Clock::new(origin.into());
        for micros in [0, 1, 999, 1000, 1001, 20_500] {
            let deadline = origin + Duration::from_micros(micros);
            let begins = clock.instant(clock.deadline(deadline.into())).unwrap();
            assert!(begins >= deadline, "{micros} µs");
            assert!(begins < deadline + Duration::from_millis(1), "{micros} µs");
        }
    }

    #[test]
    fn what_the_clock_cannot_represent_is_never() {
        assert_eq!(Tick(5).after(Duration::MAX), Tick::NEVER);
        assert_eq!(
            Clock::new(Moment::now()).deadline(Moment::NONE),
            Tick::NEVER
        );
        assert_eq!(Clock::new(Moment::now()).instant(Tick::NEVER), None);
    }
}
