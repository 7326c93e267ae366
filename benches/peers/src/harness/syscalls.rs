//! System calls per call, counted by the kernel for a running process.
//!
//! `perf stat` only counts tracepoints, which costs some tens of nanoseconds per system call: it runs after the
//! measured seconds, not in them. Where there is no perf, or no right to use it, there are no figures.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::processes::Processes;
use crate::Error;

/// How long the kernel counts. perf's own `duration_time` is no use: it adds up over the threads.
const COUNTED: Duration = Duration::from_millis(500);
/// The call rate is taken from within that time: after perf has started and before it ends.
const LEAD: Duration = Duration::from_millis(150);
const WITHIN: Duration = Duration::from_millis(300);

/// What writes to a socket. Not `write`, which tokio uses only to wake a thread through an eventfd.
const WRITES: [&str; 4] = ["sendto", "sendmsg", "sendmmsg", "writev"];
const ALL: &str = "raw_syscalls:sys_enter";

/// System calls of one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syscalls {
    pub(super) writes_per_call: f64,
    pub(super) all_per_call: f64,
}

/// Counts for both processes while the client goes on calling: client, then server.
pub(super) fn count(processes: &mut Processes) -> Result<Option<(Syscalls, Syscalls)>, Error> {
    let Some(server) = &processes.server else {
        return Ok(None);
    };
    let pids = [processes.client.id(), server.id()];
    let counters = pids.map(|pid| thread::spawn(move || perf(pid)));
    thread::sleep(LEAD);
    let calls = processes.rate(WITHIN)? * COUNTED.as_secs_f64();
    let [client, server] = counters.map(|counter| {
        let (writes, all) = counter.join().ok().flatten()?;
        (calls > 0.0).then(|| Syscalls {
            writes_per_call: writes / calls,
            all_per_call: all / calls,
        })
    });
    Ok(client.zip(server))
}

/// Writes, and system calls of every kind, while `COUNTED` passed.
fn perf(pid: u32) -> Option<(f64, f64)> {
    let events: String = WRITES
        .map(|name| format!(",syscalls:sys_enter_{name}"))
        .concat();
    let output = Command::new("perf")
        .args(["stat", "-x,", "-e", &format!("{ALL}{events}")])
        .args(["-p", &pid.to_string()])
        .args(["--", "sleep", &COUNTED.as_secs_f64().to_string()])
        .stdout(Stdio::null())
        .output()
        .ok()?;
    parse(&String::from_utf8_lossy(&output.stderr))
}

/// Reads lines of `value,unit,event,…`.
fn parse(csv: &str) -> Option<(f64, f64)> {
    let (mut all, mut writes) = (None, 0.0);
    for line in csv.lines() {
        let mut fields = line.split(',');
        let (Some(value), Some(event)) = (fields.next(), fields.nth(1)) else {
            continue;
        };
        let value: f64 = value.parse().ok()?;
        match event {
            ALL => all = Some(value),
            _ => writes += value,
        }
    }
    Some((writes, all?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_every_kind_add_up() {
        let csv = "100,,raw_syscalls:sys_enter,1,100.00,,\n\
                   20,,syscalls:sys_enter_sendto,1,100.00,,\n\
                   5,,syscalls:sys_enter_writev,1,100.00,,\n";
        assert_eq!(parse(csv), Some((25.0, 100.0)));
    }

    #[test]
    fn a_counter_that_is_not_supported_gives_no_figure() {
        let unsupported = "<not supported>,,raw_syscalls:sys_enter,0,0.00,,\n";
        assert_eq!(parse(unsupported), None);
        assert_eq!(parse("perf: permission denied"), None);
    }
}
