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

    let began = Instant::now();
    let ticks = ticks(began);
    for index in 0..workload.callers {
        let schedule = Schedule {
            began,
            ticks: ticks.clone(),
            share: 1.0 / workload.callers as f64,
            owed: index as f64 / workload.callers as f64,
        };
        spawn(schedule.run(caller.clone(), payload.clone(), probe, probe.meter(index)));
    }
    Ok(())
}

/// Which calls of one caller fall due when.
struct Schedule {
    began: Instant,
    ticks: watch::Receiver<u32>,
    /// This caller's part of all calls.
    share: f64,
    /// Calls due, in parts of one. Every caller starts with another part, so that not all are due at once.
    owed: f64,
}

impl Schedule {
    async fn run<C: Caller>(
        mut self,
        mut caller: C,
        payload: Bytes,
        probe: &'static Probe,
        meter: Meter,
    ) -> Result<(), Error> {
        let mut done = 0;
        loop {
            self.ticks.changed().await?;
            let now = *self.ticks.borrow_and_update();
            for tick in done + 1..=now {
                let part = if probe.phase() < Phase::Third {
                    0.5
                } else {
                    0.8
                };
                self.owed += probe.peak() * part * TICK.as_secs_f64() * self.share;
                while self.owed >= 1.0 {
                    self.owed -= 1.0;
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
