//! What the calls of one endpoint leave behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    gate::{Gate, Pass},
    latency::Latency,
    options::Options,
    snapshot::Link,
};
use crate::outcome::Outcome;

/// Shared by all that call an endpoint and by its task; it outlives connections.
#[derive(Debug)]
pub(super) struct Stats {
    pub(super) gate: Gate,
    pub(super) latency: Latency,
    /// Pending calls by connection.
    links: Box<[AtomicUsize]>,
    turn: AtomicUsize,
    /// Failures since the last success.
    failures: AtomicU32,
    /// What became of the probe.
    verdict: AtomicU8,
    /// Rings for the endpoint's task, when it has something to judge.
    bell: Notify,
    epoch: Instant,
    /// When the endpoint last went live, by [`Stats::millis`].
    live_since: AtomicU32,
    /// When a call last ended.
    used: AtomicU32,
    failure_limit: u32,
    failure_penalty: Duration,
    slow_start: Duration,
}

/// A call that is under way: it counts as pending until it is finished or dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    stats: Arc<Stats>,
    link: usize,
    pass: Pass,
    started: Instant,
    finished: bool,
}

const NO_VERDICT: u8 = 0;
const PASSED: u8 = 1;
const FAILED: u8 = 2;

impl Stats {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            gate: Gate::default(),
            latency: Latency::new(options.latency_memory),
            links: (0..options.connections)
                .map(|_| AtomicUsize::new(0))
                .collect(),
            turn: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            verdict: AtomicU8::new(NO_VERDICT),
            bell: Notify::new(),
            epoch: Instant::now(),
            live_since: AtomicU32::new(0),
            used: AtomicU32::new(0),
            failure_limit: options.ejection.failures,
            failure_penalty: options.failure_penalty,
            slow_start: options.slow_start,
        }
    }

    /// The clock of the averages: milliseconds since these statistics began.
    pub(super) fn millis(&self, now: Instant) -> u32 {
        // It wraps, which its readers know.
        now.saturating_duration_since(self.epoch).as_millis() as u32
    }

    /// The share of calls that a replica may have for the time it is live: all, once it is warm.
    pub(super) fn warmth(&self, now: u32) -> f32 {
        /// So that a cold replica has calls at all, by which it warms up.
        const LEAST: f32 = 0.1;
        if self.slow_start.is_zero() {
            return 1.0;
        }
        let live = now.wrapping_sub(self.live_since.load(Relaxed));
        (live as f32 / self.slow_start.as_millis() as f32).clamp(LEAST, 1.0)
    }

    /// When a call last ended, or the endpoint went live.
    pub(super) fn last_used(&self) -> Instant {
        let millis = self.used.load(Relaxed).max(self.live_since.load(Relaxed));
        self.epoch + Duration::from_millis(millis.into())
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// The least pending of these connections, in turn if several are; by its place among them.
    pub(super) fn choose<S>(&self, links: &[Link<S>]) -> usize {
        let count = links.len();
        if count == 1 {
            return 0;
        }
        let first = self.turn.fetch_add(1, Relaxed);
        let places = (0..count).map(|place| first.wrapping_add(place) % count);
        places
            .min_by_key(|place| self.links[links[*place].number].load(Relaxed))
            .unwrap_or_default()
    }

    /// Lets in a call on the connection of that number.
    pub(super) fn enter(self: &Arc<Self>, link: usize, started: Instant) -> Option<Ticket> {
        let pass = self.gate.enter()?;
        self.links[link].fetch_add(1, Relaxed);
        Some(Ticket {
            stats: self.clone(),
            link,
            pass,
            started,
            finished: false,
        })
    }

    /// A connection is up: what the one before did is forgotten.
    pub(super) fn went_live(&self, took: Duration) {
        let now = self.millis(Instant::now());
        self.live_since.store(now, Relaxed);
        // The first estimate: a replica without one would look fastest, and be flooded.
        self.latency.add_at_least(took, now);
        self.forgive();
    }

    /// Forgets failures, and ends an ejection.
    pub(super) fn forgive(&self) {
        self.failures.store(0, Relaxed);
        self.judge(PASSED);
    }

    /// Waits until too many calls in a row have failed.
    pub(super) async fn failing(&self) {
        while self.failures() < self.failure_limit {
            self.bell.notified().await;
        }
        self.verdict.store(NO_VERDICT, Relaxed);
    }

    /// Waits for what becomes of the probe: whether it passed.
    pub(super) async fn verdict(&self) -> bool {
        loop {
            match self.verdict.swap(NO_VERDICT, Relaxed) {
                NO_VERDICT => self.bell.notified().await,
                verdict => return verdict == PASSED,
            }
        }
    }

    fn judge(&self, verdict: u8) {
        self.verdict.store(verdict, Relaxed);
        self.bell.notify_one();
    }
}

impl Ticket {
    pub(super) fn finish(mut self, outcome: Outcome) {
        let stats = &self.stats;
        let (took, now) = self.took();
        match outcome {
            Outcome::Good => {
                stats.latency.add(took, now);
                // Not written unless it changes: all cores read it.
                if stats.failures() != 0 {
                    stats.failures.store(0, Relaxed);
                }
            }
            Outcome::Bad => {
                // Never as fast as it failed: the fastest replica would be the one that refuses.
                stats.latency.add(took.max(stats.failure_penalty), now);
                if stats.failures.fetch_add(1, Relaxed) + 1 == stats.failure_limit {
                    stats.bell.notify_one();
                }
            }
            Outcome::Neither => {}
        }
        if self.pass == Pass::Probe {
            stats.judge(match outcome {
                Outcome::Good => PASSED,
                Outcome::Bad | Outcome::Neither => FAILED,
            });
        }
        self.finished = true;
    }

    /// How long the call takes by now, and when that is.
    fn took(&self) -> (Duration, u32) {
        let now = Instant::now();
        let millis = self.stats.millis(now);
        self.stats.used.store(millis, Relaxed);
        (now.saturating_duration_since(self.started), millis)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.finished {
            let (took, now) = self.took();
            self.stats.latency.add_at_least(took, now);
            if self.pass == Pass::Probe {
                self.stats.judge(FAILED);
            }
        }
        self.stats.links[self.link].fetch_sub(1, Relaxed);
        self.stats.gate.leave();
    }
}
