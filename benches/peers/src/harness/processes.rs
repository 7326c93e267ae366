//! The processes of a run, and what they were at the beginning and at the end of a while.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::child::Child;
use super::control::{self, Snapshot};
use super::others;
use super::report::Figures;
use super::syscalls::Syscalls;
use crate::Error;
use crate::cli::Cli;
use crate::workload::{Shape, Workload};

/// The processes of one run.
pub(super) struct Processes<'a> {
    pub(super) cli: &'a Cli,
    pub(super) workload: Workload,
    // Dropped in this order, so that no client sees its server end.
    pub(super) client: Child,
    /// None where a stack is measured.
    pub(super) server: Option<Child>,
}

impl Processes<'_> {
    /// Waits until the load has settled, and measures.
    pub(super) fn period(&mut self) -> Result<Period, Error> {
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
    pub(super) fn next_period(&mut self) -> Result<Period, Error> {
        self.client.ask(control::NEXT)?;
        self.period()
    }

    /// What connections cost that have fallen silent, over a process without any.
    pub(super) fn idle(&mut self, unconnected: &Snapshot) -> Result<Figures, Error> {
        thread::sleep(Duration::from_secs_f64(self.cli.warmup));
        let client = self.client.ask(control::LOOK)?;
        let server = self.ask_server(control::LOOK)?;
        let each = |side: &Snapshot| {
            let grown = side.rss_kib?.saturating_sub(unconnected.rss_kib?);
            Some(grown as f64 / self.workload.connections as f64)
        };
        let sides = [
            ("client_kib_each", each(&client)),
            ("server_kib_each", server.as_ref().and_then(each)),
        ];
        let rss = server.and_then(|server| server.rss_kib);
        Ok(Figures {
            server_rss_kib: rss.map(|kib| kib as f64),
            extra: sides
                .into_iter()
                .filter_map(|(name, kib)| Some((name, kib?)))
                .collect(),
            ..Figures::default()
        })
    }

    fn ask_server(&mut self, command: &str) -> Result<Option<Snapshot>, Error> {
        self.server
            .as_mut()
            .map(|server| server.ask(command))
            .transpose()
    }
}

/// What the processes were at the beginning and at the end of the measured seconds.
pub(super) struct Period {
    client: (Snapshot, Snapshot),
    server: Option<(Snapshot, Snapshot)>,
    calls: f64,
    /// Seconds that the machine's CPUs were busy with anything.
    busy: Option<f64>,
}

impl Period {
    /// All that every workload has.
    pub(super) fn figures(&self, syscalls: Option<(Syscalls, Syscalls)>) -> Figures {
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
    pub(super) fn latencies(
        &self,
        names: [&'static str; 3],
        extra: &mut BTreeMap<&'static str, f64>,
    ) {
        if let Some(latency) = self.client.1.latency {
            let values = [latency.p50_us, latency.p99_us, latency.p999_us];
            extra.extend(names.into_iter().zip(values));
        }
    }

    /// Of all processes together.
    pub(super) fn per_call(&self, count: fn(&Snapshot) -> u64) -> f64 {
        let sides = [Some(self.client), self.server].into_iter().flatten();
        sides
            .map(|(from, to)| count(&to) - count(&from))
            .sum::<u64>() as f64
            / self.calls
    }
}
