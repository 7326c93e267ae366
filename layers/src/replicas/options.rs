//! What can be set of a replica set.

use std::{sync::Arc, time::Duration};

use crate::Backoff;

/// All of it, as the builder collects it.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) connections: usize,
    pub(super) lazy: bool,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) handshake_timeout: Duration,
    pub(super) ping: Option<(Duration, Duration)>,
    pub(super) backoff: Backoff,
    /// How many dials in a row may fail.
    pub(super) dial_limit: Option<u32>,
    pub(super) ejection: Ejection,
    pub(super) failure_penalty: Duration,
    pub(super) latency_memory: Duration,
    pub(super) slow_start: Duration,
    pub(super) zone: Option<Arc<str>>,
    pub(super) zone_share: f32,
    pub(super) tier_share: f32,
    /// Whether nobody is called when nobody is healthy.
    pub(super) strict_health: bool,
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
    pub(super) time: Backoff,
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
            dial_limit: None,
            ejection: Ejection::default(),
            failure_penalty: Duration::from_secs(1),
            latency_memory: Duration::from_secs(10),
            slow_start: Duration::ZERO,
            zone: None,
            zone_share: 0.5,
            tier_share: 0.0,
            strict_health: false,
        }
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

    /// For how long, by how often in a row. Default: 5 s growing to 300 s, of which half is chance.
    pub fn time(mut self, time: Backoff) -> Self {
        self.time = time;
        self
    }

    /// What share of the live replicas may be ejected at one time: always one, and never the last. Default: 0.5. When fewer
    /// than half of those that are live are left all the same, health is disregarded and all are called.
    pub fn share(mut self, share: f32) -> Self {
        self.share = share.clamp(0.0, 1.0);
        self
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
            time: Backoff::new(Duration::from_secs(5), Duration::from_secs(300)),
            share: 0.5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
