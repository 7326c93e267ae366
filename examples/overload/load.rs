//! Calls that come whether or not those before them have been answered, as the users of a service do.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use steeple::{Body, Channel, Kind, Request};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tower::Service;

use crate::witness::Witness;

/// How many calls per second, for how long, and how long each waits.
pub(crate) struct Load {
    rate: u32,
    lasts: Duration,
    deadline: Duration,
}

/// What a load has led to, per second.
#[derive(Default)]
pub(crate) struct Measured {
    /// Calls that were answered before their deadline.
    pub(crate) in_time: u32,
    /// Calls that were told that no handler has run.
    pub(crate) refused: u32,
    /// Calls that were refused, and not told that no handler has run: none, if all is well.
    pub(crate) in_doubt: u32,
    /// Calls of which nothing was heard.
    pub(crate) given_up: u32,
    /// The most calls that the server held at once.
    pub(crate) held: u64,
    /// When the last call began that was not answered.
    pub(crate) last_failure: Duration,
    /// How long it took to be refused, from the beginning of the call.
    pub(crate) refused_after: Times,
    /// How long it took from the refusal to the caller.
    pub(crate) told_after: Times,
}

/// How long something took, in order.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

enum End {
    Answered,
    Refused { after: Duration, told: Duration },
    InDoubt,
    GivenUp,
}

impl Load {
    pub(crate) fn new(rate: u32, lasts: Duration, deadline: Duration) -> Self {
        Self {
            rate,
            lasts,
            deadline,
        }
    }

    pub(crate) async fn put_on(
        &self,
        channels: &[Channel],
        witness: &Witness,
        held: impl Fn() -> u64,
    ) -> Measured {
        let mut tick = interval(Duration::from_millis(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut channels = channels.iter().cycle();
        let mut calls = JoinSet::new();
        let mut measured = Measured::default();
        let (start, mut sent) = (Instant::now(), 0.0);
        while start.elapsed() < self.lasts {
            tick.tick().await;
            let began = start.elapsed();
            let due = began.as_secs_f64() * f64::from(self.rate);
            while sent < due {
                sent += 1.0;
                let channel = channels.next().expect("there is one").clone();
                let end = call(channel, witness.clone(), self.deadline);
                calls.spawn(async move { (began, end.await) });
            }
            measured.held = measured.held.max(held());
            while let Some(Ok((began, end))) = calls.try_join_next() {
                measured.note(began, end);
            }
        }
        while let Some(Ok((began, end))) = calls.join_next().await {
            measured.note(began, end);
        }
        measured.refused_after.0.sort_unstable();
        measured.told_after.0.sort_unstable();
        let per_second = |calls| (f64::from(calls) / self.lasts.as_secs_f64()) as u32;
        measured.in_time = per_second(measured.in_time);
        measured.refused = per_second(measured.refused);
        measured.given_up = per_second(measured.given_up);
        measured
    }
}

impl Measured {
    fn note(&mut self, began: Duration, end: End) {
        match end {
            End::Answered => self.in_time += 1,
            End::Refused { after, told } => {
                self.refused += 1;
                self.refused_after.0.push(after);
                self.told_after.0.push(told);
            }
            End::InDoubt => self.in_doubt += 1,
            End::GivenUp => self.given_up += 1,
        }
        if !matches!(end, End::Answered) {
            self.last_failure = self.last_failure.max(began);
        }
    }
}

impl Times {
    /// The longest of the shortest so many of a hundred.
    pub(crate) fn percent(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = last * percent / 100;
        self.0.get(at).copied().unwrap_or_default()
    }
}

async fn call(mut channel: Channel, witness: Witness, deadline: Duration) -> End {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Relaxed);
    let body = Body::from(number.to_le_bytes().to_vec());
    let start = Instant::now();
    let request = Request::new("Work", body).with_timeout(deadline);
    match channel.call(request).await {
        Ok(_) if start.elapsed() <= deadline => End::Answered,
        Err(error) if error.execution().is_safe_to_repeat() => {
            let now = Instant::now();
            // What the server did not refuse was never sent, and is told by the connection.
            let refused = witness.refused_at(number).unwrap_or(now);
            End::Refused {
                after: now - start,
                told: now.saturating_duration_since(refused),
            }
        }
        Err(error) if error.kind() == Kind::Overflow => End::InDoubt,
        Ok(_) | Err(_) => End::GivenUp,
    }
}

/// How many calls so many callers, who each wait for an answer before they call again, make in a second.
pub(crate) async fn served_in_a_second(channel: &Channel, callers: usize) -> u32 {
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let mut channel = channel.clone();
        tasks.spawn(async move {
            let mut served = 0;
            let all = async {
                while channel
                    .call(Request::new("Work", Body::empty()))
                    .await
                    .is_ok()
                {
                    served += 1;
                }
            };
            // A second is over.
            let _ = timeout(Duration::from_secs(1), all).await;
            served
        });
    }
    tasks.join_all().await.into_iter().sum()
}
