//! When a circuit opens, and for how long.

use std::time::Duration;

use crate::Backoff;

/// When a [`Circuit`](super::Circuit) opens, and for how long.
///
/// | what | unless set |
/// |---|---|
/// | failures in a row that open it | 5 |
/// | share of failures that opens it | none |
/// | time in which that share is counted | 10 s |
/// | time that it is open | 5 s growing to 60 s, of which half is chance |
#[derive(Clone, Debug)]
pub struct BreakerPolicy {
    pub(super) failures: Option<u32>,
    pub(super) ratio: Option<Ratio>,
    pub(super) window: Duration,
    pub(super) open_for: Backoff,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    pub(super) share: f64,
    pub(super) least: u32,
}

impl BreakerPolicy {
    /// The defaults of the table above.
    pub fn new() -> Self {
        Self {
            failures: Some(5),
            ratio: None,
            window: Duration::from_secs(10),
            open_for: Backoff::new(Duration::from_secs(5), Duration::from_secs(60)),
        }
    }

    /// How many failures in a row open the circuit; 0 is as good as 1, and `None` is never.
    #[must_use]
    pub fn failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.failures = failures.into().map(|failures| failures.max(1));
        self
    }

    /// Which share of the calls opens the circuit when it fails, from 0 to 1, if there were at least so many in the
    /// [window](Self::window).
    #[must_use]
    pub fn ratio(mut self, share: f64, least_calls: u32) -> Self {
        self.ratio = Some(Ratio {
            share,
            least: least_calls,
        });
        self
    }

    /// The time in which the share of failures is counted: between a half of this and all of it.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How long the circuit is open before a call is let through: by how often that call failed in a row.
    #[must_use]
    pub fn open_for(mut self, time: Backoff) -> Self {
        self.open_for = time;
        self
    }
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self::new()
    }
}
