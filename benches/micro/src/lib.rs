//! The parts of a call, one by one, through the public interface of steeple.
//!
//! Each [`Scenario`] does the same work whenever it is run. `cargo bench -p steeple-micro` times them, and
//! `benches/instructions` counts their instructions.

mod calls;
mod codec;
mod layers;
mod pick;
mod wire;

use steeple::codec::{Bincode, Json, MsgPack, Postcard};
use steeple::layers::balance::{ConsistentHash, PeakEwma, RoundRobin};

use self::calls::Calls;
use self::codec::{Encoded, Values};
use self::pick::Picks;
use self::wire::{Received, Sent};

/// Frames, values or calls in one run of a scenario: enough that what is done once per run does not show.
pub const COUNT: usize = 1000;

/// Something that is done [`COUNT`] times over.
pub struct Scenario {
    /// What it is called in tables.
    pub name: &'static str,
    work: Box<dyn FnMut()>,
}

impl Scenario {
    fn new(name: &'static str, work: impl FnMut() + 'static) -> Self {
        Self {
            name,
            work: Box::new(work),
        }
    }

    /// Does it.
    pub fn run(&mut self) {
        (self.work)();
    }
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Scenario").field(&self.name).finish()
    }
}

/// All of them. To measure another is a line here.
pub fn scenarios() -> Vec<Scenario> {
    let mut sent = (Sent::new(), Sent::new());
    let mut received = (Received::requests(COUNT), Received::responses(COUNT));
    let calls = Calls::new();
    let mut scenarios = vec![
        Scenario::new("encode requests", move || sent.0.requests(COUNT)),
        Scenario::new("encode responses", move || sent.1.responses(COUNT)),
        Scenario::new("decode requests", move || received.0.decode()),
        Scenario::new("decode responses", move || received.1.decode()),
    ];
    let callers = [
        (1, "calls, 1 at a time"),
        (64, "calls, 64 at a time"),
        (COUNT, "calls, all at once"),
    ];
    scenarios.extend(callers.map(|(callers, name)| {
        let calls = calls.clone();
        Scenario::new(name, move || calls.run(COUNT, callers))
    }));
    macro_rules! pick {
        ($pick:expr, $members:literal, $name:literal) => {
            let picks = Picks::new($pick, $members);
            scenarios.push(Scenario::new($name, move || picks.run(COUNT)));
        };
    }
    pick!(PeakEwma::default(), 1, "pick, peak EWMA of 1");
    pick!(PeakEwma::default(), 3, "pick, peak EWMA of 3");
    pick!(PeakEwma::default(), 100, "pick, peak EWMA of 100");
    pick!(RoundRobin::default(), 3, "pick, round robin of 3");
    pick!(ConsistentHash::default(), 3, "pick, consistent hash of 3");
    scenarios.extend(layers::scenarios());
    macro_rules! codec {
        ($codec:expr, $name:literal) => {
            let (mut values, encoded) = (Values::new($codec), Encoded::new($codec));
            scenarios.push(Scenario::new(concat!("encode ", $name), move || {
                values.encode(COUNT);
            }));
            scenarios.push(Scenario::new(concat!("decode ", $name), move || {
                encoded.decode(COUNT);
            }));
        };
    }
    codec!(Bincode, "bincode");
    codec!(Postcard, "postcard");
    codec!(MsgPack, "msgpack");
    codec!(Json, "json");
    scenarios
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_repeated_and_has_a_name_of_its_own() {
        let mut names = Vec::new();
        for mut scenario in scenarios() {
            scenario.run();
            scenario.run();
            assert!(!names.contains(&scenario.name), "{scenario:?}");
            names.push(scenario.name);
        }
    }
}
