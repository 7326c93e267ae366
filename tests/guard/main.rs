//! What a call costs, where that can be counted: a change that makes calls dearer fails here, on any machine and
//! however busy it is.
//!
//! Client and server share one thread, a clock that stands still and a stream in memory, so the same code gives the same
//! counts. What they may be is in `costs.md`, beside this file:
//!
//! ```console
//! $ cargo test --test guard                                                 allocations, bytes, reads, writes, polls
//! $ cargo test --release --test guard -- --ignored                          instructions, which takes valgrind
//! $ BLESS=1 cargo test --release --test guard -- --include-ignored          writes what is counted now into the table
//! ```

mod costs;
mod instructions;
mod scenarios;
mod streams;

use std::collections::BTreeMap;

use self::scenarios::SCENARIOS;

#[test]
fn a_call_costs_no_more_than_its_table_says() {
    costs::check(|scenario| scenario.run());
}

#[test]
#[ignore = "takes a release build, and valgrind"]
fn a_call_takes_no_more_instructions_than_its_table_says() {
    match instructions::asked_for() {
        // This is the process that is watched.
        Some(name) => {
            let scenario = SCENARIOS.iter().find(|it| it.name == name);
            let scenario = scenario.expect("a scenario of that name");
            drop(scenario.run());
            println!("counted {} calls", scenario.measured_calls());
        }
        None => costs::check(|scenario| {
            BTreeMap::from([(costs::INSTRUCTIONS, instructions::per_call(scenario))])
        }),
    }
}
