//! One peer, one workload, one round.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::child::Child;
use super::control::{self, Snapshot};
use super::others;
use super::report::Figures;
use super::syscalls::{self, Syscalls};
use crate::Error;
use crate::cli::{Cli, Runtime};
use crate::peers::Subject;
use crate::workload::{Shape, Workload};

/// Starts a server and a client, measures them, and ends both.
pub(super) fn measure(cli: &Cli, peer: Subject, workload: Workload) -> Result<Figures, Error> {
    let mut server = Child::start(&args(cli, "server", peer, workload))?;
    let unconnected = server.ask(control::LOOK)?;
    let mut client_args = args(cli, "client", peer, workload);
    client_args.extend(["--addr".to_owned(), server.hello.clone()]);
    let client = Child::start(&client_args)?;
    let mut pair = Pair {
        cli,
        server,
        client,
    };

    if workload.shape == Shape::Idle {
        return pair.idle(&unconnected, workload.connections as u64);
    }
    let first = pair.period()?;
    let mut extra = BTreeMap::new();
    let main = match workload.shape {
        Shape::Beside => {
            first.latencies(["p50_us_alone", "p99_us_alone"], &mut extra);
            pair.next_period()?
        }
        Shape::Open => {
            let names = ["p50_us_at_half", "p99_us_at_half"];
            pair.next_period()?.latencies(names, &mut extra);
            let names = ["p50_us_at_four_fifths", "p99_us_at_four_fifths"];
            pair.next_period()?.latencies(names, &mut extra);
            first
        }
        Shape::Bytes => {
            extra.insert("wire_bytes_plain", first.per_call(|side| side.wire_bytes));
            if peer.compresses() {
                let compressed = pair.next_period()?;
                let bytes = compressed.per_call(|side| side.wire_bytes);
                extra.insert("wire_bytes_compressed", bytes);
            }
            first
        }
        Shape::Closed | Shape::Idle | Shape::Batch | Shape::Json => first,
    };
    // An open loop is no longer at its peak, and there the share of wake-ups is another.
    let syscalls = match workload.shape {
        Shape::Open => None,
        _ => syscalls::count(&mut pair.client, &pair.server)?,
    };
    Ok(Figures {
        extra,
        ..main.figures(syscalls)
    })
}

/// The two processes of one run.
struct Pair<'a> {
    cli: &'a Cli,
    // Dropped in this order, so that no client sees its server end.
    client: Child,
    server: Child,
}

impl Pair<'_> {
    /// Waits until the load has settled, and measures.
    fn period(&mut self) -> Result<Period, Error> {
        thread::sleep(Duration::from_secs_f64(self.cli.warmup));
        let busy_from = others::busy_seconds();
        let server_from = self.server.ask(control::BEGIN)?;
        let client_from = self.client.ask(control::BEGIN)?;
        thread::sleep(Duration::from_secs_f64(self.cli.secs));
        let client = (client_from, self.client.ask(control::END)?);
        let server = (server_from, self.server.ask(control::END)?);
        let busy = others::busy_seconds()
            .zip(busy_from)
            .map(|(to, from)| to - from);
        let calls = client.1.calls - client.0.calls;
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

    /// What connections cost that have fallen silent, over a process without any.
    fn idle(&mut self, unconnected: &Snapshot, connections: u64) -> Result<Figures, Error> {
        thread::sleep(Duration::from_secs_f64(self.cli.warmup));
        let (client, server) = (
            self.client.ask(control::LOOK)?,
            self.server.ask(control::LOOK)?,
        );
        let each = |side: &Snapshot| {
            let grown = side.rss_kib?.saturating_sub(unconnected.rss_kib?);
            Some(grown as f64 / connections as f64)
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
}

/// What both processes were at the beginning and at the end of the measured seconds.
struct Period {
    client: (Snapshot, Snapshot),
    server: (Snapshot, Snapshot),
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
            server_rss_kib: self.server.1.rss_kib.map(|kib| kib as f64),
            others_cpus: self.busy.map(|busy| {
                let own = self.per_call(|side| side.cpu_us) * self.calls / 1e6;
                (busy - own).max(0.0) / seconds
            }),
            extra: BTreeMap::new(),
        }
    }

    /// Median and 99th percentile, under these names.
    fn latencies(&self, names: [&'static str; 2], extra: &mut BTreeMap<&'static str, f64>) {
        if let Some(latency) = self.client.1.latency {
            extra.extend([(names[0], latency.p50_us), (names[1], latency.p99_us)]);
        }
    }

    fn per_call(&self, count: fn(&Snapshot) -> u64) -> f64 {
        let grown = [self.client, self.server].map(|(from, to)| count(&to) - count(&from));
        grown.iter().sum::<u64>() as f64 / self.calls
    }
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
