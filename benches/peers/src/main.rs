//! steeple and its peers, side by side in one run.
//!
//! Without a role this program is the harness: for each peer and workload it starts itself twice, once as the
//! server and once as the client, takes their figures over stdin and stdout, and prints a table. `BENCHMARKS.md`
//! at the root of the repository says what each workload means and what is not measured.

mod alloc;
mod cli;
mod harness;
mod load;
mod order;
mod peers;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Role};
use crate::peers::settings;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

/// The one error type of the harness: it is only ever shown to a person.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.setting.iter().for_each(|name| settings::choose(name));
    let outcome = match cli.role {
        None => harness::run(&cli),
        Some(Role::Server) => harness::server::run(&cli).map(|()| true),
        Some(Role::Client) => harness::client::run(&cli).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("steeple-peers: {error}");
            ExitCode::from(2)
        }
    }
}
