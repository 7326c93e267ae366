//! What a client counts while it calls, cheaply enough not to show in the result.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Counts calls and their latencies. Callers each hold a [`Meter`] of it.
#[derive(Debug)]
pub(crate) struct Probe {
    /// One line per caller: a shared counter would cost a contended line per call.
    calls: Box<[Line]>,
    /// One call in this many is timed.
    sample_every: usize,
    bytes: AtomicU64,
    latency: Histogram,
    measuring: AtomicBool,
    phase: AtomicU8,
    next_phase: Notify,
    /// Bits of the call rate of the first phase.
    peak: AtomicU64,
}

/// Most workloads have one phase. The harness says when the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    First,
    Second,
    Third,
}

/// Quantiles of the calls timed in the measured seconds, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

impl Probe {
    /// A probe for a fixed number of callers, which times one call in `sample_every`. It lives as long as the
    /// process, as they do.
    pub(crate) fn new(callers: usize, sample_every: usize) -> &'static Self {
        Box::leak(Box::new(Self {
            calls: (0..callers).map(|_| Line::default()).collect(),
            sample_every,
            bytes: AtomicU64::new(0),
            latency: Histogram::new(),
            measuring: AtomicBool::new(false),
            phase: AtomicU8::new(Phase::First as u8),
            next_phase: Notify::new(),
            peak: AtomicU64::new(0),
        }))
    }

    /// The meter of one caller.
    pub(crate) fn meter(&'static self, caller: usize) -> Meter {
        Meter {
            probe: self,
            calls: &self.calls[caller].0,
            // Callers that go in step would otherwise time the same batch of calls, and burden only that one.
            untimed: caller % self.sample_every,
        }
    }

    /// Calls answered so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
            .iter()
            .map(|line| line.0.load(Ordering::Relaxed))
            .sum()
    }

    /// Bytes counted so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Calls per second in the first phase.
    pub(crate) fn peak(&self) -> f64 {
        f64::from_bits(self.peak.load(Ordering::Relaxed))
    }

    /// The phase that the harness has asked for.
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::First,
            1 => Phase::Second,
            _ => Phase::Third,
        }
    }

    /// Waits for a phase. Only one task may wait.
    pub(crate) async fn reached(&self, phase: Phase) {
        while self.phase() < phase {
            self.next_phase.notified().await;
        }
    }

    /// Counts bytes of both directions: on the wire, where a proxy sees them, or of bodies beside the calls.
    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Forgets what was recorded, and records from now on.
    pub(crate) fn begin(&self) {
        self.latency.clear();
        self.measuring.store(true, Ordering::Relaxed);
    }

    /// Ends recording. There is nothing to say if no call was timed.
    pub(crate) fn end(&self) -> Option<Latency> {
        self.measuring.store(false, Ordering::Relaxed);
        Some(Latency {
            p50_us: self.latency.quantile(0.5)?,
            p99_us: self.latency.quantile(0.99)?,
            p999_us: self.latency.quantile(0.999)?,
        })
    }

    /// Begins the next phase. The first was at `peak` calls per second.
    pub(crate) fn advance(&self, peak: f64) {
        if self.phase() == Phase::First {
            self.peak.store(peak.to_bits(), Ordering::Relaxed);
        }
        self.phase.fetch_add(1, Ordering::Release);
        self.next_phase.notify_one();
    }
}

/// One caller's way to count. Not shared: only its owner writes to its line.
#[derive(Debug)]
pub(crate) struct Meter {
    probe: &'static Probe,
    calls: &'static AtomicU64,
    /// Calls until one is timed.
    untimed: usize,
}

impl Meter {
    /// To be asked before each call, for [`end`](Self::end). Reads the clock if this call is one to be timed.
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        if let Some(untimed) = self.untimed.checked_sub(1) {
            self.untimed = untimed;
            return None;
        }
        self.untimed = self.probe.sample_every - 1;
        Some(Instant::now())
    }

    /// Counts a call that was answered, and records how long it took if it was timed.
    pub(crate) fn end(&self, began: Option<Instant>) {
        self.add(1);
        if let Some(began) = began {
            self.record(began.elapsed(), 1);
        }
    }

    /// Counts answered calls.
    pub(crate) fn add(&self, calls: u64) {
        self.calls.store(
            self.calls.load(Ordering::Relaxed) + calls,
            Ordering::Relaxed,
        );
    }

    /// Records how long `calls` calls took, if it is time to measure.
    pub(crate) fn record(&self, took: Duration, calls: u64) {
        if self.probe.measuring.load(Ordering::Relaxed) {
            self.probe.latency.record(took, calls);
        }
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// Sub-buckets per power of two: a quantile is at most 1/32, three percent, too high.
const SUB: u64 = 32;
/// Powers of two above `SUB` nanoseconds; the last is reached after half an hour.
const OCTAVES: u64 = 37;

/// Logarithmic buckets of nanoseconds.
#[derive(Debug)]
struct Histogram(Box<[AtomicU64]>);

impl Histogram {
    fn new() -> Self {
        Self((0..SUB * OCTAVES).map(|_| AtomicU64::new(0)).collect())
    }

    fn clear(&self) {
        self.0
            .iter()
            .for_each(|count| count.store(0, Ordering::Relaxed));
    }

    fn record(&self, took: Duration, count: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let index = bucket(nanos).min(self.0.len() - 1);
        self.0[index].fetch_add(count, Ordering::Relaxed);
    }

    /// The upper edge of the bucket that holds quantile `q`, in microseconds.
    fn quantile(&self, q: f64) -> Option<f64> {
        let counts: Vec<u64> = self
            .0
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        let rank = (counts.iter().sum::<u64>() as f64 * q).ceil() as u64;
        let mut seen = 0;
        let index = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        (seen > 0).then(|| upper_edge(index) as f64 / 1000.0)
    }
}

/// Below `SUB` a bucket is a nanosecond; above, the first six bits of the value name it.
fn bucket(nanos: u64) -> usize {
    let octave = (nanos | SUB).ilog2() - SUB.ilog2();
    ((u64::from(octave) * SUB) + (nanos >> octave)) as usize
}

/// The first value above the bucket.
fn upper_edge(index: usize) -> u64 {
    let index = index as u64 + 1;
    if index <= 2 * SUB {
        index
    } else {
        (SUB + (index - SUB) % SUB) << ((index - SUB) / SUB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_below_the_edge_of_its_bucket_and_within_three_percent() {
        for nanos in (0..200).chain((1..1 << 40).step_by(999_999_937)) {
            let edge = upper_edge(bucket(nanos));
            assert!(nanos < edge, "{nanos} is not below {edge}");
            assert!(
                (edge - nanos) as f64 <= 1.0 + nanos as f64 / 32.0,
                "{edge} is far above {nanos}"
            );
        }
    }

    #[test]
    fn quantiles_come_from_the_counts() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.record(Duration::from_micros(10), 98);
        histogram.record(Duration::from_millis(5), 2);
        let p50 = histogram.quantile(0.5).unwrap();
        let p99 = histogram.quantile(0.99).unwrap();
        assert!((10.0..10.4).contains(&p50), "{p50}");
        assert!((5000.0..5200.0).contains(&p99), "{p99}");
    }

    #[test]
    fn every_caller_counts_in_its_own_line() {
        let probe = Probe::new(2, 1);
        probe.meter(0).add(3);
        probe.meter(1).add(4);
        assert_eq!(probe.calls(), 7);
    }

    #[test]
    fn callers_take_turns_at_being_timed() {
        let probe = Probe::new(2, 3);
        let timed = |caller| {
            let mut meter = probe.meter(caller);
            let calls = (0..6).map(|_| meter.begin().is_some());
            calls.collect::<Vec<_>>()
        };
        assert_eq!(timed(0), [true, false, false, true, false, false]);
        assert_eq!(timed(1), [false, true, false, false, true, false]);
    }
}
