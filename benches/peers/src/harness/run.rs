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
use crate::workload::{Shape, Workload};

/// Starts the processes of an entrant, measures them, and ends them.
pub(super) fn measure(cli: &Cli, entrant: Entrant, workload: Workload) -> Result<Figures, Error> {
    match entrant {
        Entrant::Peer(peer) => measure_peer(cli, peer, workload),
        Entrant::Stack(stack) => measure_stack(cli, stack, workload),
    }
}

/// One process, whose CPU time is all there is to measure.
fn measure_stack(cli: &Cli, stack: &str, workload: Workload) -> Result<Figures, Error> {
    // Its arguments name a peer as everybody's do.
    let mut args = args(cli, "client", Subject::Bare, workload);
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

fn measure_peer(cli: &Cli, peer: Subject, workload: Workload) -> Result<Figures, Error> {
    let mut server = Child::start(&args(cli, "server", peer, workload))?;
    let unconnected = server.ask(control::LOOK)?;
    let mut client_args = args(cli, "client", peer, workload);
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
    let mut extra = BTreeMap::new();
    let main = match workload.shape {
        Shape::Beside => {
            first.latencies(
                ["p50_us_alone", "p99_us_alone", "p999_us_alone"],
                &mut extra,
            );
            processes.next_period()?
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
            first
        }
        Shape::Bytes => {
            extra.insert("wire_bytes_plain", first.per_call(|side| side.wire_bytes));
            if peer.compresses() {
                let compressed = processes.next_period()?;
                let bytes = compressed.per_call(|side| side.wire_bytes);
                extra.insert("wire_bytes_compressed", bytes);
            }
            first
        }
        Shape::Typed(_) => {
            let counted = processes.next_period()?;
            extra.insert("wire_bytes", counted.per_call(|side| side.wire_bytes));
            first
        }
        _ => first,
    };
    // An open loop is no longer at its peak, and there the share of wake-ups is another. A proxy has its own.
    let syscalls = match (workload.shape, &processes.server) {
        (Shape::Open | Shape::Bytes | Shape::Typed(_), _) | (_, None) => None,
        (_, Some(server)) => syscalls::count(&mut processes.client, server)?,
    };
    Ok(Figures {
        extra,
        ..main.figures(syscalls)
    })
}

fn args(cli: &Cli, role: &str, peer: Subject, workload: Workload) -> Vec<String> {
    let runtime = match cli.runtime {
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
    ]
    .map(str::to_owned)
    .to_vec()
}
