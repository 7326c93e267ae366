//! Runs every peer on every workload, rounds interleaved, and reports.

pub(crate) mod client;
pub(crate) mod probe;
pub(crate) mod runtime;
pub(crate) mod server;

mod child;
mod control;
mod entrant;
mod goals;
mod machine;
mod others;
mod processes;
mod publish;
mod report;
mod run;
mod syscalls;
mod table;

use crate::Error;
use crate::cli::Cli;

use self::entrant::Entrant;
use self::report::{Report, Row};

/// Measures, prints, and says whether every goal that was asked for is met.
pub(crate) fn run(cli: &Cli) -> Result<bool, Error> {
    let mut report = Report {
        machine: machine::describe(cli),
        rows: Vec::new(),
    };
    let mut failed = 0;
    for round in 0..cli.rounds {
        for (at, workload) in cli.workloads().into_iter().enumerate() {
            // Who runs first, on a machine that the one before has warmed, changes from round to round.
            let mut entrants = Entrant::of(cli, &workload);
            let places = entrants.len().max(1);
            entrants.rotate_left((round as usize + at) % places);
            for entrant in entrants {
                let mut row = Row::new(entrant.name(), &workload, round);
                if entrant.runs(&workload) {
                    match run::measure(cli, entrant, workload) {
                        Ok(figures) => row.figures = figures,
                        Err(error) => {
                            eprintln!("{} {}: {error}", row.peer, row.workload);
                            failed += 1;
                        }
                    }
                }
                eprintln!("{}", table::progress(&row));
                report.rows.push(row);
            }
        }
    }
    let tables = table::render(cli, &report);
    println!("{}", tables.join("\n"));
    if let Some(path) = &cli.markdown {
        publish::publish(path, &tables)?;
    }
    if let Some(path) = &cli.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    let met = !cli.check || goals::check(cli, &report);
    if failed > 0 {
        return Err(format!("{failed} measurements failed, and have no figures").into());
    }
    Ok(met)
}
