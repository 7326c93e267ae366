//! Calls that fall due by the clock, however late the answers are.
//!
//! Each caller has a schedule. The latency of a call counts from when it fell due and not from when it was sent, so
//! a peer that stalls pays for all the calls that it kept waiting. Calls fall due in bursts, one per tick: neither a
//! timer of the runtime nor a thread that sleeps could pace single calls of a fast peer.

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{closed, spawn};
use crate::Error;
use crate::harness::probe::{Meter, Phase, Probe};
use crate::peers::Caller;
use crate::workload::Workload;

/// How often calls fall due.
const TICK: Duration = Duration::from_millis(1);

/// Finds the peak in the first phase; half of it is due in the second, four fifths in the third.
pub(super) async fn run<C: Caller>(
    caller: C,
    payload: Bytes,
    workload: Workload,
    probe: &'static Probe,
) -> Result<(), Error> {
    let callers: Vec<_> = (0..workload.callers)
        .map(|index| {
            let (caller, payload) = (caller.clone(), payload.clone());
            let at_peak = move || probe.phase() == Phase::First;
            tokio::spawn(closed::run_while(
                caller,
                payload,
                probe.meter(index),
                at_peak,
            ))
        })
        .collect();
    for caller in callers {
        caller.await??;
    }

    let share = TICK.as_secs_f64() / workload.callers as f64;
    let due = move || {
        let part = match probe.phase() {
            Phase::First | Phase::Second => 0.5,
            Phase::Third => 0.8,
        };
        probe.peak() * part * share
    };
    let clock = Clock::start();
    for index in 0..workload.callers {
        // Every caller starts with another part of a call, so that not all are due at once.
        let owed = index as f64 / workload.callers as f64;
        let (clock, caller, payload) = (clock.clone(), caller.clone(), payload.clone());
        spawn(clock.run(caller, payload, probe.meter(index), owed, due));
    }
    Ok(())
}

/// One caller, with so many calls per second.
pub(super) async fn steadily<C: Caller>(
    caller: C,
    payload: Bytes,
    meter: Meter,
    calls_per_s: f64,
) -> Result<(), Error> {
    let due = move || calls_per_s * TICK.as_secs_f64();
    Clock::start().run(caller, payload, meter, 0.0, due).await
}

/// Says when calls fall due.
#[derive(Clone)]
struct Clock {
    began: Instant,
    ticks: watch::Receiver<u32>,
}

impl Clock {
    fn start() -> Self {
        let began = Instant::now();
        Self {
            began,
            ticks: ticks(began),
        }
    }

    /// Makes the calls of one caller: `owed` are due, and `due` more with each tick, both in parts of a call.
    async fn run<C: Caller>(
        mut self,
        mut caller: C,
        payload: Bytes,
        meter: Meter,
        mut owed: f64,
        due: impl Fn() -> f64 + Send,
    ) -> Result<(), Error> {
        let mut done = 0;
        loop {
            self.ticks.changed().await?;
            let now = *self.ticks.borrow_and_update();
            for tick in done + 1..=now {
                owed += due();
                while owed >= 1.0 {
                    owed -= 1.0;
                    caller.echo(&payload).await?;
                    meter.record((self.began + TICK * tick).elapsed(), 1);
                    meter.add(1);
                }
            }
            done = now;
        }
    }
}

/// Counts ticks in a thread that sleeps: the timers of the runtime are up to a millisecond late.
fn ticks(began: Instant) -> watch::Receiver<u32> {
    let (sender, ticks) = watch::channel(0);
    thread::spawn(move || {
        for tick in 1.. {
            let due = began + TICK * tick;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(tick).is_err() {
                break;
            }
        }
    });
    ticks
}
