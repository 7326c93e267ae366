//! Runs one scenario under callgrind: `benches/instructions` starts this program.
//!
//! Without a name it lists the scenarios.

use std::process::ExitCode;

use steeple_micro::{Scenario, scenarios};

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        scenarios()
            .iter()
            .for_each(|known| println!("{}", known.name));
        return ExitCode::SUCCESS;
    };
    let Some(mut scenario) = scenarios().into_iter().find(|known| known.name == name) else {
        eprintln!("no scenario {name:?}");
        return ExitCode::FAILURE;
    };
    // Buffers grow, and methods get their numbers, before anything is counted.
    scenario.run();
    measured(&mut scenario);
    ExitCode::SUCCESS
}

/// Callgrind counts while this function runs, and knows it by its name.
#[inline(never)]
fn measured(scenario: &mut Scenario) {
    scenario.run();
}
