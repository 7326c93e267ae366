//! How old a connection may become, and how long it may do nothing.

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{Peer, Stats};

/// When a connection is to be drained though it works.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ages {
    pub(super) age: Option<Duration>,
    pub(super) idle: Option<Duration>,
}

/// How often in its idle time a connection is looked at: it is drained at most a part like this late.
const LOOKS: u32 = 8;

impl Ages {
    /// Both times, each longer or shorter by up to a tenth: connections that came together, as they do when a
    /// server starts, do not all leave together.
    pub(super) fn jittered(self, rng: &mut fastrand::Rng) -> Self {
        let mut jitter = |time: Duration| {
            let seconds = time.as_secs_f64() * (0.9 + 0.2 * rng.f64());
            Duration::try_from_secs_f64(seconds).unwrap_or(time)
        };
        Self {
            age: self.age.map(&mut jitter),
            idle: self.idle.map(jitter),
        }
    }

    /// Runs a connection to its end, and drains it when its time has come; `drains` is told why.
    pub(super) async fn live<F: Future>(
        self,
        mut connection: Pin<&mut F>,
        peer: &Peer,
        drains: impl FnOnce(&'static str),
    ) -> F::Output {
        if self.age.is_none() && self.idle.is_none() {
            return connection.await;
        }
        let reason = tokio::select! {
            biased;
            ended = &mut connection => return ended,
            () = old(self.age) => "max_age",
            () = idle(peer, self.idle) => "max_idle",
        };
        // One that is over, and of which only handlers run, has no age.
        if !peer.is_closed() {
            drains(reason);
            peer.release();
        }
        connection.await
    }
}

async fn old(age: Option<Duration>) {
    match age {
        Some(age) => sleep(age).await,
        None => pending().await,
    }
}

/// Waits until nothing was called on a connection for so long.
async fn idle(peer: &Peer, time: Option<Duration>) {
    let Some(time) = time else {
        return pending().await;
    };
    let mut seen = calls(&peer.stats());
    let mut since = Instant::now();
    while since.elapsed() < time {
        sleep((time / LOOKS).max(Duration::from_millis(1))).await;
        let stats = peer.stats();
        let under_way = stats.in_flight + stats.pending + stats.handling > 0;
        if under_way || calls(&stats) != seen {
            seen = calls(&stats);
            since = Instant::now();
        }
    }
}

/// A number that grows with whatever is called.
fn calls(stats: &Stats) -> u64 {
    let one_way = stats.one_way_sent + stats.one_way_received;
    stats.calls.total() + stats.served.total() + one_way
}
