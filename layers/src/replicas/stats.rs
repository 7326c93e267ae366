//! What the calls of one endpoint leave behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed},
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
use crate::{
    called,
    moment::Moment,
    outcome::Outcome,
    tried::{self, Tried},
};

/// Shared by all that call an endpoint and by its task; it outlives connections.
#[derive(Debug)]
pub(super) struct Stats {
    pub(super) gate: Gate,
    pub(super) latency: Latency,
    /// Where it is.
    pub(super) address: Arc<str>,
    /// By which a call knows the endpoint again.
    pub(super) mark: Tried,
    /// Pending calls by connection, where there is more than one.
    links: Box<[AtomicUsize]>,
    turn: AtomicUsize,
    /// Failures since the last success.
    failures: AtomicU32,
    /// What became of the probe.
    verdict: AtomicU8,
    /// Rings for the endpoint's task, when it has something to judge.
    bell: Notify,
    /// The [`Moment`] when the endpoint last went live.
    live_since: AtomicI64,
    /// The [`Moment`] when a call last ended, if it is noted.
    used: AtomicI64,
    /// Whether somebody wants to know when the last call ended. Else it is not written: all cores read this memory.
    notes_use: bool,
    failure_limit: u32,
    /// In nanoseconds.
    failure_penalty: u64,
    slow_start: Duration,
}

/// Where a call could go that does not go here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// Nowhere: there is no other replica.
    Nowhere,
    /// To those where it has been only.
    Tried,
    Untried,
}

/// A call that is under way: it counts as pending until it is finished or dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    stats: Arc<Stats>,
    started: Moment,
    link: usize,
    pass: Pass,
    is_timed: bool,
    /// Whether the call has nowhere else to go.
    is_last: bool,
    is_told: bool,
    finished: bool,
}

const NO_VERDICT: u8 = 0;
const PASSED: u8 = 1;
const FAILED: u8 = 2;

impl Stats {
    pub(super) fn new(options: &Options, address: Arc<str>, mark: Tried) -> Self {
        let now = Moment::now().word();
        // The gate counts them all.
        let counted = Some(options.connections).filter(|&count| count > 1);
        Self {
            gate: Gate::default(),
            latency: Latency::new(options.latency_memory),
            address,
            mark,
            links: (0..counted.unwrap_or_default())
                .map(|_| AtomicUsize::new(0))
                .collect(),
            turn: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            verdict: AtomicU8::new(NO_VERDICT),
            bell: Notify::new(),
            live_since: AtomicI64::new(now),
            used: AtomicI64::new(now),
            notes_use: options.idle_timeout.is_some(),
            failure_limit: options.ejection.failures,
            failure_penalty: nanos(options.failure_penalty),
            slow_start: options.slow_start,
        }
    }

    /// The share of calls that a replica may have for the time it is live: all, once it is warm.
    pub(super) fn warmth(&self, now: Moment) -> f32 {
        /// So that a cold replica has calls at all, by which it warms up.
        const LEAST: f32 = 0.1;
        if self.slow_start.is_zero() {
            return 1.0;
        }
        let live = now.since(Moment::from_word(self.live_since.load(Relaxed)));
        live.div_duration_f32(self.slow_start).clamp(LEAST, 1.0)
    }

    /// From when on it is warm, as far as is known.
    pub(super) fn warm_from(&self) -> Moment {
        if self.slow_start.is_zero() {
            return Moment::NONE;
        }
        let live_since = Moment::from_word(self.live_since.load(Relaxed));
        live_since.after(self.slow_start).unwrap_or(Moment::NEVER)
    }

    /// When a call last ended, if that is noted, or the endpoint went live.
    pub(super) fn last_used(&self) -> Option<Instant> {
        let last = self.used.load(Relaxed).max(self.live_since.load(Relaxed));
        Moment::from_word(last).instant()
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
    ///
    /// Of a replica that is alone, so that its latency is compared with no other, one call in a millisecond is
    /// timed: what it costs to read the clock is felt.
    #[inline]
    pub(super) fn enter(
        self: &Arc<Self>,
        link: usize,
        started: Moment,
        elsewhere: Elsewhere,
    ) -> Option<Ticket> {
        let pass = self.gate.enter()?;
        if let Some(pending) = self.links.get(link) {
            pending.fetch_add(1, Relaxed);
        }
        let is_alone = elsewhere == Elsewhere::Nowhere;
        Some(Ticket {
            stats: self.clone(),
            started,
            link,
            pass,
            is_timed: !is_alone || self.notes_use || self.latency.is_news(started.millis()),
            is_last: elsewhere != Elsewhere::Untried,
            is_told: false,
            finished: false,
        })
    }

    /// A connection is up: what the one before did is forgotten.
    pub(super) fn went_live(&self, took: Duration) {
        let now = Moment::now();
        self.live_since.store(now.word(), Relaxed);
        // The first estimate: a replica without one would look fastest, and be flooded.
        self.latency.add_at_least(nanos(took), now.millis());
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
    /// Tells those above where the call is, when it is polled first: they keep it.
    #[inline]
    pub(super) fn tell(&mut self) {
        if !self.is_told {
            self.is_told = true;
            tried::note(self.stats.mark, self.is_last);
            called::tell(&self.stats.address);
        }
    }

    #[inline]
    pub(super) fn finish(mut self, outcome: Outcome) {
        let stats = &self.stats;
        match outcome {
            Outcome::Good => {
                if self.is_timed {
                    let (took, now) = self.took();
                    stats.latency.add(took, now);
                }
                // Not written unless it changes: all cores read it.
                if stats.failures() != 0 {
                    stats.failures.store(0, Relaxed);
                }
            }
            Outcome::Bad => {
                // Never as fast as it failed: the fastest replica would be the one that refuses.
                let (took, now) = self.took();
                stats.latency.add(took.max(stats.failure_penalty), now);
                if stats.failures.fetch_add(1, Relaxed) + 1 == stats.failure_limit {
                    stats.bell.notify_one();
                }
            }
            Outcome::Neither => {
                self.took();
            }
        }
        if self.pass == Pass::Probe {
            stats.judge(match outcome {
                Outcome::Good => PASSED,
                Outcome::Bad | Outcome::Neither => FAILED,
            });
        }
        self.finished = true;
    }

    /// How many nanoseconds the call takes by now, and when that is.
    fn took(&self) -> (u64, u32) {
        let now = Moment::now();
        if self.stats.notes_use {
            self.stats.used.store(now.word(), Relaxed);
        }
        (now.nanos_since(self.started), now.millis())
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
        if let Some(pending) = self.stats.links.get(self.link) {
            pending.fetch_sub(1, Relaxed);
        }
        self.stats.gate.leave();
    }
}

/// More than 500 years are that many.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn of_a_replica_alone_one_call_in_a_millisecond_is_timed_and_every_failure() {
        let stats = Arc::new(Stats::new(&Options::default(), "a".into(), Tried::one(0)));
        let enter = |elsewhere| stats.enter(0, Moment::now(), elsewhere).unwrap();
        let estimate = || stats.latency.estimate(Moment::now().millis());
        advance(1000 * MS).await;

        let first = enter(Elsewhere::Nowhere);
        advance(5 * MS).await;
        first.finish(Outcome::Good);
        assert_eq!(estimate(), 5e6);

        let [second, failing] = [(); 2].map(|()| enter(Elsewhere::Nowhere));
        let compared = enter(Elsewhere::Untried);
        advance(50 * MS).await;
        second.finish(Outcome::Good);
        assert!(estimate() < 5e6);
        compared.finish(Outcome::Good);
        assert_eq!(estimate(), 5e7);
        failing.finish(Outcome::Bad);
        assert_eq!(estimate(), 1e9);
    }
}
