//! The line protocol between the harness and the processes it starts: a command on stdin, a snapshot on stdout.

use std::fs;
use std::io::{self, BufRead, Write};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::probe::{Latency, Probe};
use crate::peers::counted;
use crate::{Error, alloc};

/// Starts to measure.
pub(crate) const BEGIN: &str = "begin";
/// Asks for the figures and changes nothing.
pub(crate) const LOOK: &str = "look";
/// Ends measuring.
pub(crate) const END: &str = "end";

/// Begins the next phase of the workload.
pub(crate) const NEXT: &str = "next";

/// The figures of a process up to now; those of a period are the differences of two.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Microseconds since the process began to answer commands.
    pub(crate) at_us: u64,
    /// CPU time of all threads, in user and kernel mode.
    pub(crate) cpu_us: u64,
    pub(crate) allocs: u64,
    pub(crate) rss_kib: Option<u64>,
    /// Answered calls, or messages sent; a server has none.
    pub(crate) calls: u64,
    /// Messages without an answer that a server has handled.
    pub(crate) handled: u64,
    /// Where a proxy counts them on the wire, or bodies beside the calls.
    pub(crate) bytes: u64,
    /// In answer to `END` only.
    pub(crate) latency: Option<Latency>,
}

/// Answers commands until the harness closes stdin, which it also does by ending: no process is left behind.
pub(crate) fn serve(probe: Option<&Probe>) -> Result<(), Error> {
    let origin = Instant::now();
    let mut measured = (origin, 0);
    let mut rate = 0.0;
    for command in io::stdin().lock().lines() {
        let mut latency = None;
        match (command?.as_str(), probe) {
            (BEGIN, Some(probe)) => {
                probe.begin();
                measured = (Instant::now(), probe.calls());
            }
            (END, Some(probe)) => {
                latency = probe.end();
                rate = (probe.calls() - measured.1) as f64 / measured.0.elapsed().as_secs_f64();
            }
            (NEXT, Some(probe)) => probe.advance(rate),
            (BEGIN | LOOK | END | NEXT, _) => {}
            (other, _) => return Err(format!("unknown command {other:?}").into()),
        }
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        say(&serde_json::to_string(&Snapshot {
            at_us: origin.elapsed().as_micros() as u64,
            cpu_us: (usage.user_time() + usage.system_time()).num_microseconds() as u64,
            allocs: alloc::allocations(),
            rss_kib: rss_kib(),
            calls: probe.map_or(0, Probe::calls),
            handled: counted(),
            bytes: probe.map_or(0, Probe::bytes),
            latency,
        })?)?;
    }
    Ok(())
}

/// Sends one line to the harness.
pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

fn rss_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
