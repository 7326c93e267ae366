//! What is to happen to one call.

use std::time::Duration;

use fastrand::Rng;

use crate::{Error, Kind};

/// Shares of calls, and what happens to them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    pub(super) delay: (f64, Duration),
    pub(super) fail: (f64, fn() -> Error),
    pub(super) lose_call: f64,
    pub(super) lose_answer: f64,
    pub(super) disconnect: f64,
    pub(super) repeat: u32,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) fate: Fate,
    pub(super) repeat: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Answer,
    Disconnect,
    Fail(fn() -> Error),
    LoseAnswer,
    LoseCall,
}

impl Faults {
    /// Draws the same number of times for every call, so that one fault added leaves the others where they
    /// were.
    pub(super) fn plan(&self, rng: &mut Rng, may_repeat: bool) -> Plan {
        let mut happens = |share: f64| rng.f64() < share;
        let delay = match happens(self.delay.0) {
            true => self.delay.1,
            false => Duration::ZERO,
        };
        let fates = [
            (happens(self.fail.0), Fate::Fail(self.fail.1)),
            (happens(self.lose_call), Fate::LoseCall),
            (happens(self.lose_answer), Fate::LoseAnswer),
            (happens(self.disconnect), Fate::Disconnect),
        ];
        let first = fates.into_iter().find(|(happens, _)| *happens);
        let fate = first.map_or(Fate::Answer, |(_, fate)| fate);
        Plan {
            delay,
            fate,
            repeat: if may_repeat { self.repeat } else { 0 },
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            delay: (0.0, Duration::ZERO),
            fail: (0.0, || Error::new(Kind::Internal, "on purpose")),
            lose_call: 0.0,
            lose_answer: 0.0,
            disconnect: 0.0,
            repeat: 0,
        }
    }
}
