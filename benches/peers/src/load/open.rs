//! Calls that fall due by the clock, however late the answers are.
//!
//! The latency of a call counts from when it fell due and not from when it was sent, so a peer that stalls pays for
//! all the calls that it kept waiting. Calls fall due in bursts: a thread that sleeps cannot pace single ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{closed, echo, spawn};
use crate::Error;
use crate::harness::probe::{Phase, Probe};
use crate::peers::Caller;
use crate::workload::Workload;

/// How often a burst falls due.
const TICK: Duration = Duration::from_millis(1);
/// A peer that leaves this many calls unanswered does not keep up, and has no figure.
const MAX_BEHIND: usize = 200_000;
/// One call in this many is timed.
const SAMPLE: usize = 16;

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
            let (meter, sample) = (probe.meter(index), workload.sample_every());
            let closed = move || probe.phase() == Phase::First;
            tokio::spawn(closed::run_while(caller, payload, meter, sample, closed))
        })
        .collect();
    for caller in callers {
        caller.await??;
    }

    let behind = Arc::new(AtomicUsize::new(0));
    let mut ticks = ticks();
    let (mut owed, mut number) = (0.0, 0);
    while let Some(due) = ticks.recv().await {
        let share = if probe.phase() < Phase::Third {
            0.5
        } else {
            0.8
        };
        owed += probe.peak() * share * TICK.as_secs_f64();
        while owed >= 1.0 {
            owed -= 1.0;
            number += 1;
            if behind.fetch_add(1, Ordering::Relaxed) > MAX_BEHIND {
                return Err(format!("more than {MAX_BEHIND} calls behind the clock").into());
            }
            let (mut caller, payload) = (caller.clone(), payload.clone());
            let (behind, timed) = (Arc::clone(&behind), number % SAMPLE == 0);
            spawn(async move {
                echo(&mut caller, &payload).await?;
                behind.fetch_sub(1, Ordering::Relaxed);
                probe.count();
                if timed {
                    probe.record(due.elapsed(), 1);
                }
                Ok(())
            });
        }
    }
    Ok(())
}

/// When each burst fell due. A thread sleeps for it, as the timers of the runtime round up to milliseconds.
fn ticks() -> mpsc::UnboundedReceiver<Instant> {
    let (sender, ticks) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let mut due = Instant::now();
        while sender.send(due).is_ok() {
            due += TICK;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    ticks
}
