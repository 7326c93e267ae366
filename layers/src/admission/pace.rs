//! How fast a queue moves.

use std::time::Duration;

use tokio::time::Instant;

/// The usual time between two calls that leave the queue to run.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    /// Nothing until two have left.
    gap: Option<Duration>,
}

/// The share of a new gap in the usual one is one in so many: about as many calls have a say.
const MEMORY: u32 = 16;

impl Pace {
    /// One leaves, while others wait behind it.
    pub(super) fn moved(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_duration_since(last);
            self.gap = Some(match self.gap {
                Some(usual) => usual * (MEMORY - 1) / MEMORY + gap / MEMORY,
                None => gap,
            });
        }
    }

    /// Nobody waits: how long it is until the next one leaves says nothing.
    pub(super) fn rested(&mut self) {
        self.last = None;
    }

    /// How long a call waits behind so many others.
    pub(super) fn wait(&self, ahead: usize) -> Duration {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        self.gap.unwrap_or_default().saturating_mul(ahead)
    }
}
