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

/// How long connections are silent before they count as idle: some give memory back only after a while.
const SILENCE: Duration = Duration::from_secs(5);

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
        let from = self.ask(control::BEGIN)?;
        thread::sleep(Duration::from_secs_f64(self.cli.secs));
        let to = self.ask(control::END)?;
        let busy_to = others::busy_seconds();
        let calls = self.calls(&to) - self.calls(&from);
        if calls == 0 {
            return Err("no call was answered".into());
        }
        Ok(Period {
            from,
            to,
            calls: calls as f64,
            busy: busy_to.zip(busy_from).map(|(to, from)| to - from),
        })
    }

    /// Calls per second while some time passes, which is not measured otherwise.
    pub(super) fn rate(&mut self, passes: Duration) -> Result<f64, Error> {
        let from = self.ask(control::LOOK)?;
        thread::sleep(passes);
        let to = self.ask(control::LOOK)?;
        let calls = self.calls(&to) - self.calls(&from);
        Ok(calls as f64 / to.seconds_since(&from))
    }

    /// Measures the next phase of the workload.
    pub(super) fn next_period(&mut self) -> Result<Period, Error> {
        self.client.ask(control::NEXT)?;
        self.period()
    }

    /// What connections cost that have fallen silent, over a process without any.
    pub(super) fn idle(&mut self, unconnected: &Snapshot) -> Result<Figures, Error> {
        thread::sleep(Duration::from_secs_f64(self.cli.warmup).max(SILENCE));
        let Moment { client, server } = self.ask(control::LOOK)?;
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

    /// Calls answered up to a moment. Messages without an answer count once the server has handled them.
    fn calls(&self, moment: &Moment) -> u64 {
        match (self.workload.shape, &moment.server) {
            (Shape::OneWay, Some(server)) => server.handled,
            _ => moment.client.calls,
        }
    }

    fn ask(&mut self, command: &str) -> Result<Moment, Error> {
        let server = self.server.as_mut().map(|server| server.ask(command));
        Ok(Moment {
            server: server.transpose()?,
            client: self.client.ask(command)?,
        })
    }
}

/// What the processes are at one moment.
#[derive(Clone, Copy)]
struct Moment {
    client: Snapshot,
    server: Option<Snapshot>,
}

impl Moment {
    fn seconds_since(&self, earlier: &Self) -> f64 {
        (self.client.at_us - earlier.client.at_us) as f64 / 1e6
    }

    /// Of all processes together.
    fn total(&self, count: fn(&Snapshot) -> u64) -> u64 {
        count(&self.client) + self.server.as_ref().map_or(0, count)
    }
}

/// What the processes were at the beginning and at the end of the measured seconds.
pub(super) struct Period {
    from: Moment,
    to: Moment,
    calls: f64,
    /// Seconds that the machine's CPUs were busy with anything.
    busy: Option<f64>,
}

impl Period {
    /// All that every workload has.
    pub(super) fn figures(&self, syscalls: Option<(Syscalls, Syscalls)>) -> Figures {
        Figures {
            cpu_us_per_call: Some(self.per_call(|side| side.cpu_us)),
            client_writes_per_call: syscalls.map(|(client, _)| client.writes_per_call),
            server_writes_per_call: syscalls.map(|(_, server)| server.writes_per_call),
            client_syscalls_per_call: syscalls.map(|(client, _)| client.all_per_call),
            server_syscalls_per_call: syscalls.map(|(_, server)| server.all_per_call),
            allocs_per_call: Some(self.per_call(|side| side.allocs)),
            ..self.pace()
        }
    }

    /// How fast the calls were, where what they cost cannot be told from what else went on.
    pub(super) fn pace(&self) -> Figures {
        let latency = self.to.client.latency;
        Figures {
            calls_per_s: Some(self.calls / self.seconds()),
            p50_us: latency.map(|latency| latency.p50_us),
            p99_us: latency.map(|latency| latency.p99_us),
            p999_us: latency.map(|latency| latency.p999_us),
            ..self.surroundings()
        }
    }

    /// What has nothing to do with single calls.
    pub(super) fn surroundings(&self) -> Figures {
        let server = self.to.server.as_ref();
        Figures {
            server_rss_kib: server.and_then(|server| Some(server.rss_kib? as f64)),
            others_cpus: self.busy.map(|busy| {
                let own = self.total(|side| side.cpu_us) / 1e6;
                (busy - own).max(0.0) / self.seconds()
            }),
            ..Figures::default()
        }
    }

    /// Median, 99th and 99.9th percentile, under these names.
    pub(super) fn latencies(
        &self,
        names: [&'static str; 3],
        extra: &mut BTreeMap<&'static str, f64>,
    ) {
        if let Some(latency) = self.to.client.latency {
            let values = [latency.p50_us, latency.p99_us, latency.p999_us];
            extra.extend(names.into_iter().zip(values));
        }
    }

    /// Of all processes together.
    pub(super) fn per_call(&self, count: fn(&Snapshot) -> u64) -> f64 {
        self.total(count) / self.calls
    }

    /// Of all processes together.
    pub(super) fn per_second(&self, count: fn(&Snapshot) -> u64) -> f64 {
        self.total(count) / self.seconds()
    }

    fn total(&self, count: fn(&Snapshot) -> u64) -> f64 {
        (self.to.total(count) - self.from.total(count)) as f64
    }

    fn seconds(&self) -> f64 {
        self.to.seconds_since(&self.from)
    }
}
