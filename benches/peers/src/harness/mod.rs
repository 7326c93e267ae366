//! Runs every peer on every workload, rounds interleaved, and reports.

pub(crate) mod client;
pub(crate) mod probe;
pub(crate) mod runtime;
pub(crate) mod server;

mod child;
mod control;
mod goals;
mod machine;
mod others;
mod report;
mod run;
mod syscalls;
mod table;

use crate::Error;
use crate::cli::Cli;

use self::report::{Report, Row};

/// Measures, prints, and says whether every goal that was asked for is met.
pub(crate) fn run(cli: &Cli) -> Result<bool, Error> {
    let mut report = Report {
        machine: machine::describe(cli),
        rows: Vec::new(),
    };
    for round in 0..cli.rounds {
        for (at, &workload) in cli.workloads.iter().enumerate() {
            // Who runs first, on a machine that the one before has warmed, changes from round to round.
            let mut peers = cli.peers.clone();
            peers.rotate_left((round as usize + at) % cli.peers.len());
            for peer in peers {
                let mut row = Row::new(peer, workload, round);
                if peer.runs(&workload) {
                    match run::measure(cli, peer, workload) {
                        Ok(figures) => row.figures = figures,
                        Err(error) => eprintln!("{} {}: {error}", peer.name(), workload.letter),
                    }
                }
                eprintln!("{}", table::progress(&row));
                report.rows.push(row);
            }
        }
    }
    println!("{}", table::render(cli, &report));
    if let Some(path) = &cli.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(!cli.check || goals::check(cli, &report))
}
