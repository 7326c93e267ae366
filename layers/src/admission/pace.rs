//! How fast a queue moves.

use std::time::Duration;

use tokio::time::Instant;

/// The usual time between two calls that give up their places, while all places are taken.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    gap: Duration,
    /// How many gaps have a say in the usual one.
    known: u32,
}

/// The most gaps that have a say: enough that calls which end together are no news, and few enough to follow the handlers.
const MEMORY: u32 = 64;

/// A wait is taken to be longer than it seems by one in so many: the mean of a few gaps is off by chance, and who is let
/// down after a wait has lost more than who is refused at once.
const CAUTION: u32 = 8;

impl Pace {
    /// A place that was given up went to one that waits.
    pub(super) fn moved(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_duration_since(last);
            self.known = (self.known + 1).min(MEMORY);
            self.gap = self.gap * (self.known - 1) / self.known + gap / self.known;
        }
    }

    /// A place is free: how long it is until the next one is given up says nothing of those that wait.
    pub(super) fn rested(&mut self) {
        self.last = None;
    }

    /// How long a call waits behind so many others.
    pub(super) fn wait(&self, ahead: usize) -> Duration {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        (self.gap + self.gap / CAUTION).saturating_mul(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_is_the_mean_of_a_few_gaps_and_follows_them() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        assert_eq!(pace.wait(1000), Duration::ZERO);
        pace.moved(now);
        for gap in [0, 0, 0, 4] {
            now += MS * gap;
            pace.moved(now);
        }
        assert_eq!(pace.wait(8), 9 * MS);
        for _ in 0..10 * MEMORY {
            now += 3 * MS;
            pace.moved(now);
        }
        let wait = pace.wait(8);
        assert!((26 * MS..=27 * MS).contains(&wait), "{wait:?}");
    }

    #[test]
    fn a_time_without_work_is_no_gap() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.moved(now);
        pace.moved(now + MS);
        pace.rested();
        pace.moved(now + 1000 * MS);
        assert_eq!(pace.wait(8), 9 * MS);
    }
}
