//! The command line: what a person asks for, and what the harness tells the two processes it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::Error;
use crate::peers::Subject;
use crate::workload::{Choice, Workload};

/// steeple and its peers, side by side in one run.
#[derive(Debug, Parser)]
pub(crate) struct Cli {
    /// Peers to measure, separated by commas.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "raw,std,bare,steeple,tarpc,tonic"
    )]
    pub(crate) peers: Vec<Subject>,

    /// Workloads, separated by commas: letters, or variants such as L.json.
    #[arg(long, value_delimiter = ',', default_value = "A,B,C,D,E,F,G,H")]
    workloads: Vec<Choice>,

    /// How often every peer runs every workload; the table shows medians.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,

    /// Measured seconds per run.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) secs: f64,

    /// Seconds of load before the measured ones.
    #[arg(long, default_value_t = 0.8)]
    pub(crate) warmup: f64,

    /// The runtime of both processes.
    #[arg(long, value_enum, default_value = "multi")]
    pub(crate) runtime: Runtime,

    /// Writes all rows to this file as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,

    /// Puts the printed tables into this file, each in place of the one with its letter.
    #[arg(long)]
    pub(crate) markdown: Option<PathBuf>,

    /// Compares with the stated goals, and fails if one is missed.
    #[arg(long)]
    pub(crate) check: bool,

    /// What the harness starts itself as.
    #[arg(long, value_enum, hide = true)]
    pub(crate) role: Option<Role>,

    /// Which stack the client drives, where there is no server.
    #[arg(long, hide = true)]
    pub(crate) stack: Option<String>,

    /// By which setting the connections of `bare` differ.
    #[arg(long, hide = true)]
    pub(crate) setting: Option<String>,

    /// Where the client finds the server.
    #[arg(long, hide = true)]
    pub(crate) addr: Option<SocketAddr>,
}

/// The runtime that a process builds.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Runtime {
    /// Multi-threaded, two workers.
    Multi,
    /// One thread.
    Current,
}

/// The part that a started process plays.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Answers calls.
    Server,
    /// Makes them.
    Client,
}

impl Cli {
    /// What was asked for, variants included.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        self.workloads
            .iter()
            .flat_map(|choice| choice.0.iter().copied())
            .collect()
    }

    /// The one peer of a started process.
    pub(crate) fn only_peer(&self) -> Result<Subject, Error> {
        match self.peers[..] {
            [peer] => Ok(peer),
            _ => Err("a role has one peer".into()),
        }
    }

    /// The one workload of a started process.
    pub(crate) fn only_workload(&self) -> Result<Workload, Error> {
        match self.workloads()[..] {
            [workload] => Ok(workload),
            _ => Err("a role has one workload".into()),
        }
    }
}
