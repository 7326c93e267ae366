//! One peer, one workload, one round.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::child::Child;
use super::control::{self, Snapshot};
use super::entrant::Entrant;
use super::others;
use super::report::Figures;
use super::syscalls::{self, Syscalls};
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
    let mut args = args(cli, "client", Subject::Bare, workload);
    args.extend(["--stack".to_owned(), stack.to_owned()]);
    let client = Child::start(&args)?;
    let mut run = Run {
        cli,
        workload,
        client,
        server: None,
    };
    let mut figures = run.period()?.figures(None);
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
    let client = Child::start(&client_args)?;
    if workload.shape == Shape::Idle {
        return idle(cli, client, server, &unconnected, workload);
    }
    let mut run = Run {
        cli,
        workload,
        client,
        server: Some(server),
    };
    let first = run.period()?;
    let mut extra = BTreeMap::new();
    let main = match workload.shape {
        Shape::Beside => {
            first.latencies(
                ["p50_us_alone", "p99_us_alone", "p999_us_alone"],
                &mut extra,
            );
            run.next_period()?
        }
        Shape::Open => {
            let names = ["p50_us_at_half", "p99_us_at_half", "p999_us_at_half"];
            run.next_period()?.latencies(names, &mut extra);
            let names = [
                "p50_us_at_four_fifths",
                "p99_us_at_four_fifths",
                "p999_us_at_four_fifths",
            ];
            run.next_period()?.latencies(names, &mut extra);
            first
        }
        Shape::Bytes => {
            extra.insert("wire_bytes_plain", first.per_call(|side| side.wire_bytes));
            if peer.compresses() {
                let compressed = run.next_period()?;
                let bytes = compressed.per_call(|side| side.wire_bytes);
                extra.insert("wire_bytes_compressed", bytes);
            }
            first
        }
        Shape::Typed(_) => {
            let counted = run.next_period()?;
            extra.insert("wire_bytes", counted.per_call(|side| side.wire_bytes));
            first
        }
        _ => first,
    };
    // An open loop is no longer at its peak, and there the share of wake-ups is another. A proxy has its own.
    let syscalls = match (workload.shape, &run.server) {
        (Shape::Open | Shape::Bytes | Shape::Typed(_), _) | (_, None) => None,
        (_, Some(server)) => syscalls::count(&mut run.client, server)?,
    };
    Ok(Figures {
        extra,
        ..main.figures(syscalls)
    })
}

/// The processes of one run.
struct Run<'a> {
    cli: &'a Cli,
    workload: Workload,
    // Dropped in this order, so that no client sees its server end.
    client: Child,
    server: Option<Child>,
}

impl Run<'_> {
    /// Waits until the load has settled, and measures.
    fn period(&mut self) -> Result<Period, Error> {
        thread::sleep(Duration::from_secs_f64(self.cli.warmup));
        let busy_from = others::busy_seconds();
        let server_from = self.ask_server(control::BEGIN)?;
        let client_from = self.client.ask(control::BEGIN)?;
        thread::sleep(Duration::from_secs_f64(self.cli.secs));
        let client = (client_from, self.client.ask(control::END)?);
        let server = server_from.zip(self.ask_server(control::END)?);
        let busy = others::busy_seconds()
            .zip(busy_from)
            .map(|(to, from)| to - from);
        let calls = match (self.workload.shape, server) {
            (Shape::OneWay, Some((from, to))) => to.handled - from.handled,
            _ => client.1.calls - client.0.calls,
        };
        if calls == 0 {
            return Err("no call was answered".into());
        }
        Ok(Period {
            client,
            server,
            calls: calls as f64,
            busy,
        })
    }

    /// Measures the next phase of the workload.
    fn next_period(&mut self) -> Result<Period, Error> {
        self.client.ask(control::NEXT)?;
        self.period()
    }

    fn ask_server(&mut self, command: &str) -> Result<Option<Snapshot>, Error> {
        self.server
            .as_mut()
            .map(|server| server.ask(command))
            .transpose()
    }
}

/// What connections cost that have fallen silent, over a process without any.
fn idle(
    cli: &Cli,
    mut client: Child,
    mut server: Child,
    unconnected: &Snapshot,
    workload: Workload,
) -> Result<Figures, Error> {
    thread::sleep(Duration::from_secs_f64(cli.warmup));
    let (client, server) = (client.ask(control::LOOK)?, server.ask(control::LOOK)?);
    let each = |side: &Snapshot| {
        let grown = side.rss_kib?.saturating_sub(unconnected.rss_kib?);
        Some(grown as f64 / workload.connections as f64)
    };
    let sides = [
        ("client_kib_each", each(&client)),
        ("server_kib_each", each(&server)),
    ];
    Ok(Figures {
        server_rss_kib: server.rss_kib.map(|kib| kib as f64),
        extra: sides
            .into_iter()
            .filter_map(|(name, kib)| Some((name, kib?)))
            .collect(),
        ..Figures::default()
    })
}

/// What the processes were at the beginning and at the end of the measured seconds.
struct Period {
    client: (Snapshot, Snapshot),
    server: Option<(Snapshot, Snapshot)>,
    calls: f64,
    /// Seconds that the machine's CPUs were busy with anything.
    busy: Option<f64>,
}

impl Period {
    fn figures(&self, syscalls: Option<(Syscalls, Syscalls)>) -> Figures {
        let latency = self.client.1.latency;
        let seconds = (self.client.1.at_us - self.client.0.at_us) as f64 / 1e6;
        Figures {
            calls_per_s: Some(self.calls / seconds),
            p50_us: latency.map(|latency| latency.p50_us),
            p99_us: latency.map(|latency| latency.p99_us),
            p999_us: latency.map(|latency| latency.p999_us),
            cpu_us_per_call: Some(self.per_call(|side| side.cpu_us)),
            client_writes_per_call: syscalls.map(|(client, _)| client.writes_per_call),
            server_writes_per_call: syscalls.map(|(_, server)| server.writes_per_call),
            client_syscalls_per_call: syscalls.map(|(client, _)| client.all_per_call),
            server_syscalls_per_call: syscalls.map(|(_, server)| server.all_per_call),
            allocs_per_call: Some(self.per_call(|side| side.allocs)),
            server_rss_kib: self.server.and_then(|(_, to)| Some(to.rss_kib? as f64)),
            others_cpus: self.busy.map(|busy| {
                let own = self.per_call(|side| side.cpu_us) * self.calls / 1e6;
                (busy - own).max(0.0) / seconds
            }),
            extra: BTreeMap::new(),
        }
    }

    /// Median, 99th and 99.9th percentile, under these names.
    fn latencies(&self, names: [&'static str; 3], extra: &mut BTreeMap<&'static str, f64>) {
        if let Some(latency) = self.client.1.latency {
            let values = [latency.p50_us, latency.p99_us, latency.p999_us];
            extra.extend(names.into_iter().zip(values));
        }
    }

    /// Of all processes together.
    fn per_call(&self, count: fn(&Snapshot) -> u64) -> f64 {
        let sides = [Some(self.client), self.server].into_iter().flatten();
        sides
            .map(|(from, to)| count(&to) - count(&from))
            .sum::<u64>() as f64
            / self.calls
    }
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
