//! One peer, one workload, one round.

use std::thread;
use std::time::Duration;

use super::child::Child;
use super::control::{self, Snapshot};
use super::report::Figures;
use super::syscalls;
use crate::Error;
use crate::cli::{Cli, Runtime};
use crate::peers::Subject;
use crate::workload::Workload;

/// Starts a server and a client, measures them, and ends both.
pub(super) fn measure(cli: &Cli, peer: Subject, workload: Workload) -> Result<Figures, Error> {
    let mut server = Child::start(&args(cli, "server", peer, workload))?;
    let mut client_args = args(cli, "client", peer, workload);
    client_args.extend(["--addr".to_owned(), server.hello.clone()]);
    let mut client = Child::start(&client_args)?;

    thread::sleep(Duration::from_secs_f64(cli.warmup));
    let server_from = server.ask(control::BEGIN)?;
    let client_from = client.ask(control::BEGIN)?;
    thread::sleep(Duration::from_secs_f64(cli.secs));
    let client_to = client.ask(control::END)?;
    let server_to = server.ask(control::END)?;
    let syscalls = syscalls::count(&mut client, &server)?;

    let calls = client_to.calls - client_from.calls;
    if calls == 0 {
        return Err("no call was answered".into());
    }
    let per_call = |figure: fn(&Snapshot) -> u64| {
        let sum = |client: &Snapshot, server: &Snapshot| figure(client) + figure(server);
        (sum(&client_to, &server_to) - sum(&client_from, &server_from)) as f64 / calls as f64
    };
    let seconds = (client_to.at_us - client_from.at_us) as f64 / 1e6;
    Ok(Figures {
        calls_per_s: Some(calls as f64 / seconds),
        p50_us: client_to.latency.map(|latency| latency.p50_us),
        p99_us: client_to.latency.map(|latency| latency.p99_us),
        p999_us: client_to.latency.map(|latency| latency.p999_us),
        cpu_us_per_call: Some(per_call(|snapshot| snapshot.cpu_us)),
        client_writes_per_call: syscalls.map(|(client, _)| client.writes_per_call),
        server_writes_per_call: syscalls.map(|(_, server)| server.writes_per_call),
        client_syscalls_per_call: syscalls.map(|(client, _)| client.all_per_call),
        server_syscalls_per_call: syscalls.map(|(_, server)| server.all_per_call),
        allocs_per_call: Some(per_call(|snapshot| snapshot.allocs)),
        server_rss_kib: server_to.rss_kib.map(|kib| kib as f64),
    })
}

fn args(cli: &Cli, role: &str, peer: Subject, workload: Workload) -> Vec<String> {
    let runtime = match cli.runtime {
        Runtime::Multi => "multi",
        Runtime::Current => "current",
    };
    let letter = workload.letter.to_string();
    [
        "--role",
        role,
        "--peers",
        peer.name(),
        "--workloads",
        &letter,
        "--runtime",
        runtime,
    ]
    .map(str::to_owned)
    .to_vec()
}
