//! What can be set of a replica set.

use std::{sync::Arc, time::Duration};

/// All of it, as the builder collects it.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) connections: usize,
    pub(super) lazy: bool,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) handshake_timeout: Duration,
    pub(super) ping: Option<(Duration, Duration)>,
    pub(super) backoff: Backoff,
    pub(super) ejection: Ejection,
    pub(super) failure_penalty: Duration,
    pub(super) slow_start: Duration,
    pub(super) zone: Option<Arc<str>>,
}

/// How long to wait before another dial: twice as long each time, and from there as much less as chance
/// says, down to half.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Backoff {
    least: Duration,
    most: Duration,
    limit: Option<u32>,
}

/// When a replica whose calls fail is left out, and for how long.
///
/// After a number of failures in a row the replica is *ejected*. When its time is over it gets one call, the
/// *probe*: if that succeeds the replica is back, or else it is ejected for twice as long. A new connection is a
/// new start. Errors of the application are no failures, nor is what the caller did wrong.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Ejection {
    pub(super) failures: u32,
    pub(super) least: Duration,
    pub(super) most: Duration,
    pub(super) share: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1,
            lazy: false,
            idle_timeout: None,
            handshake_timeout: Duration::from_secs(10),
            ping: None,
            backoff: Backoff::default(),
            ejection: Ejection::default(),
            failure_penalty: Duration::from_secs(1),
            slow_start: Duration::ZERO,
            zone: None,
        }
    }
}

impl Backoff {
    /// From `least` to `most`, without a limit.
    pub fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most: most.max(least),
            limit: None,
        }
    }

    /// How many dials in a row may fail before the endpoint is given up, until it is listed anew. Default:
    /// `None`, never.
    pub fn limit(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.limit = failures.into();
        self
    }

    /// The wait after so many failures in a row, at least 1; `None` if it was the last.
    pub(super) fn after(&self, failures: u32) -> Option<Duration> {
        match self.limit {
            Some(limit) if failures >= limit => None,
            _ => Some(doubled(self.least, self.most, failures)),
        }
    }

    /// The longest wait, without jitter.
    pub(super) fn most(&self) -> Duration {
        self.most
    }
}

impl Default for Backoff {
    /// From 10 ms to 1 s, without a limit.
    fn default() -> Self {
        Self::new(Duration::from_millis(10), Duration::from_secs(1))
    }
}

impl Ejection {
    /// After so many failures in a row, at least one; for 5 s to 300 s; of at most half of the replicas.
    pub fn after(failures: u32) -> Self {
        Self {
            failures: failures.max(1),
            ..Self::default()
        }
    }

    /// No replica is left out, whatever its calls come to.
    pub fn never() -> Self {
        Self::after(u32::MAX)
    }

    /// For how long, the first time and at most. Default: 5 s and 300 s.
    pub fn time(mut self, first: Duration, most: Duration) -> Self {
        self.least = first;
        self.most = most.max(first);
        self
    }

    /// What share of the live replicas may be ejected at one time: always one, and never the last. Default: 0.5. When fewer
    /// than half of those that are live are left all the same, health is disregarded and all are called.
    pub fn share(mut self, share: f32) -> Self {
        self.share = share.clamp(0.0, 1.0);
        self
    }

    /// For how long, after so many ejections in a row.
    pub(super) fn after_ejections(&self, times: u32) -> Duration {
        doubled(self.least, self.most, times)
    }

    /// Whether one more may be ejected: within the share, though always one, and never the last.
    pub(super) fn allows(&self, ejected: usize, live: usize) -> bool {
        let most = (live as f32 * self.share) as usize;
        ejected < most.max(1) && ejected + 1 < live
    }
}

impl Default for Ejection {
    /// After 5 failures in a row.
    fn default() -> Self {
        Self {
            failures: 5,
            least: Duration::from_secs(5),
            most: Duration::from_secs(300),
            share: 0.5,
        }
    }
}

/// `least`, doubled with each time after the first, up to `most`; and of that half to all, by chance.
fn doubled(least: Duration, most: Duration, times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(0);
    let full = match factor {
        0 => most,
        factor => least.saturating_mul(factor).min(most),
    };
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_its_limit_and_half_of_it_is_chance() {
        let backoff = Backoff::default();
        for (failures, full) in [(1, 10), (2, 20), (7, 640), (8, 1000), (40, 1000)] {
            let full = Duration::from_millis(full);
            for _ in 0..100 {
                let wait = backoff.after(failures).unwrap();
                assert!((full / 2..=full).contains(&wait), "{failures}: {wait:?}");
            }
        }
    }

    #[test]
    fn a_limited_backoff_ends() {
        let backoff = Backoff::default().limit(3);
        assert!(backoff.after(2).is_some());
        assert!(backoff.after(3).is_none());
    }

    #[test]
    fn a_share_may_be_ejected_and_always_one_but_never_the_last() {
        let ejection = Ejection::default();
        assert!(ejection.allows(0, 2));
        assert!(ejection.allows(1, 4));
        assert!(!ejection.allows(2, 4));
        assert!(!ejection.allows(1, 3));
        assert!(!ejection.allows(0, 1));
        assert!(!Ejection::default().share(1.0).allows(2, 3));
    }
}
