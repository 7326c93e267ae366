//! One peer, one workload, one round.

use std::collections::BTreeMap;

use super::child::Child;
use super::control;
use super::entrant::Entrant;
use super::processes::Processes;
use super::report::Figures;
use super::syscalls;
use crate::Error;
use crate::cli::{Cli, Runtime};
use crate::peers::Subject;
use crate::peers::settings::Setting;
use crate::workload::{Shape, Workload};

const MIB: f64 = 1024.0 * 1024.0;

/// Starts the processes of an entrant, measures them, and ends them.
pub(super) fn measure(cli: &Cli, entrant: Entrant, workload: Workload) -> Result<Figures, Error> {
    match entrant {
        Entrant::Peer(peer) => measure_peer(cli, peer, None, workload),
        Entrant::Setting(setting) => measure_peer(cli, Subject::Bare, Some(setting), workload),
        Entrant::Stack(stack) => measure_stack(cli, stack, workload),
    }
}

/// One process, whose CPU time is all there is to measure.
fn measure_stack(cli: &Cli, stack: &str, workload: Workload) -> Result<Figures, Error> {
    // Its arguments name a peer as everybody's do.
    let mut args = args(cli, "client", Subject::Bare, None, workload);
    args.extend(["--stack".to_owned(), stack.to_owned()]);
    let mut processes = Processes {
        cli,
        workload,
        client: Child::start(&args)?,
        server: None,
    };
    let mut figures = processes.period()?.figures(None);
    let nanos = figures.cpu_us_per_call.map(|micros| micros * 1e3);
    figures
        .extra
        .extend(nanos.map(|nanos| ("cpu_ns_per_call", nanos)));
    Ok(figures)
}

fn measure_peer(
    cli: &Cli,
    peer: Subject,
    setting: Option<&Setting>,
    workload: Workload,
) -> Result<Figures, Error> {
    let mut server = Child::start(&args(cli, "server", peer, setting, workload))?;
    let unconnected = server.ask(control::LOOK)?;
    let mut client_args = args(cli, "client", peer, setting, workload);
    client_args.extend(["--addr".to_owned(), server.hello.clone()]);
    let mut processes = Processes {
        cli,
        workload,
        client: Child::start(&client_args)?,
        server: Some(server),
    };
    if workload.shape == Shape::Idle {
        return processes.idle(&unconnected);
    }
    let first = processes.period()?;
    // What single calls cost cannot be told from what the transfer does.
    let syscalls = match workload.shape {
        Shape::Beside => None,
        _ => syscalls::count(&mut processes)?,
    };
    let mut extra = BTreeMap::new();
    let figures = match workload.shape {
        Shape::Beside => {
            let names = ["p50_us_alone", "p99_us_alone", "p999_us_alone"];
            first.latencies(names, &mut extra);
            let beside = processes.next_period()?;
            let mib_per_s = beside.per_second(|side| side.bytes) / MIB;
            extra.insert("transfer_mib_per_s", mib_per_s);
            let figures = beside.pace();
            let alone = extra.get("p99_us_alone").copied();
            let times = figures.p99_us.zip(alone).map(|(with, alone)| with / alone);
            extra.extend(times.map(|times| ("p99_times_alone", times)));
            figures
        }
        Shape::Open => {
            let names = ["p50_us_at_half", "p99_us_at_half", "p999_us_at_half"];
            processes.next_period()?.latencies(names, &mut extra);
            let names = [
                "p50_us_at_four_fifths",
                "p99_us_at_four_fifths",
                "p999_us_at_four_fifths",
            ];
            processes.next_period()?.latencies(names, &mut extra);
            first.figures(syscalls)
        }
        Shape::Typed(_) | Shape::Bytes(_) => {
            let counted = processes.next_period()?;
            extra.insert("wire_bytes", counted.per_call(|side| side.bytes));
            first.figures(syscalls)
        }
        _ => first.figures(syscalls),
    };
    Ok(Figures { extra, ..figures })
}

fn args(
    cli: &Cli,
    role: &str,
    peer: Subject,
    setting: Option<&Setting>,
    workload: Workload,
) -> Vec<String> {
    let own = setting.and_then(|setting| setting.runtime);
    let runtime = match own.unwrap_or(cli.runtime) {
        Runtime::Multi => "multi",
        Runtime::Current => "current",
    };
    let name = workload.name();
    [
        "--role",
        role,
        "--peers",
        peer.name(),
        "--workloads",
        &name,
        "--runtime",
        runtime,
        "--setting",
        setting.map_or("defaults", |setting| setting.name),
    ]
    .map(str::to_owned)
    .to_vec()
}
