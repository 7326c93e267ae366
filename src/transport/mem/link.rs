//! The faults of a network, as a test sets them.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    network::Network,
    path::{Bandwidth, Conditions, Path},
};

/// What happens between two names of a [`MemNetwork`](super::MemNetwork), on all of their streams, those
/// that are open and those to come.
///
/// It comes from [`link`](super::MemNetwork::link), for both directions;
/// [`one_way`](super::MemNetwork::one_way), for one; or [`all`](super::MemNetwork::all), for every
/// direction between any names. A setting counts for each of these directions by itself, from now on.
#[derive(Clone)]
pub struct Link {
    network: Arc<Network>,
    scope: Scope,
}

#[derive(Clone)]
pub(super) enum Scope {
    All,
    Some(Vec<Arc<Path>>),
}

/// The longest latency, jitter or tick; longer ones are cut, so that no sum of them overflows a clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Link {
    pub(super) fn new(network: Arc<Network>, scope: Scope) -> Self {
        Self { network, scope }
    }

    /// How many bytes may be written and not yet read; a stream that has as many does not take more. 64 KiB
    /// unless set, and at least 1.
    pub fn capacity(&self, bytes: usize) -> &Self {
        self.set(|conditions| conditions.capacity = bytes.max(1))
    }

    /// How long a byte travels; none at all unless set, and at most a day. Connecting takes it there and back.
    pub fn latency(&self, latency: Duration) -> &Self {
        self.set(|conditions| conditions.latency = latency.min(LONGEST))
    }

    /// How much longer than its latency a piece may travel, at most a day: drawn for each write, evenly.
    /// Bytes never overtake each other.
    pub fn jitter(&self, jitter: Duration) -> &Self {
        self.set(|conditions| conditions.jitter = jitter.min(LONGEST))
    }

    /// At most `bytes`, at least 1, arrive in each time of `per`, at most a day: a slow line, or a slow
    /// reader at its end.
    pub fn bandwidth(&self, bytes: usize, per: Duration) -> &Self {
        let bandwidth = Bandwidth {
            bytes: bytes.max(1),
            per: per.min(LONGEST),
        };
        self.set(|conditions| conditions.bandwidth = Some(bandwidth))
    }

    /// Reads and writes take a few bytes at a time, a number drawn for each.
    pub fn torn(&self) -> &Self {
        self.set(|conditions| conditions.torn = true)
    }

    /// Nothing arrives and nothing is lost, until it is [healed](Self::heal): bytes, ends of streams and
    /// connects wait.
    pub fn partition(&self) -> &Self {
        self.set(|conditions| conditions.held = true)
    }

    /// What is written vanishes, without an error; the end of a stream too. Connects wait until this is
    /// [healed](Self::heal), but a stream that lost bytes carries none after it either.
    ///
    /// In one direction it makes a half-open connection: one side speaks, and nobody hears.
    pub fn swallow(&self) -> &Self {
        self.set(|conditions| conditions.swallowed = true)
    }

    /// Connects are refused, where the first name of the link is the one that connects; of a
    /// [`link`](super::MemNetwork::link), either name.
    pub fn refuse(&self) -> &Self {
        self.set(|conditions| conditions.refused = true)
    }

    /// Ends [`partition`](Self::partition), [`swallow`](Self::swallow) and [`refuse`](Self::refuse).
    pub fn heal(&self) -> &Self {
        self.set(|conditions| {
            conditions.held = false;
            conditions.swallowed = false;
            conditions.refused = false;
        })
    }

    /// Once `bytes` more bytes have been written, the stream that carried the last of them is
    /// [killed](Self::kill): they arrive and nothing after them. 0 kills the stream that writes next.
    /// Happens once; until then, setting it again replaces it.
    pub fn kill_after(&self, bytes: u64) -> &Self {
        self.set(|conditions| conditions.kill_after = Some(bytes))
    }

    /// Of the byte that follows `bytes` more, one bit is flipped. Happens once; until then, setting it
    /// again replaces it.
    pub fn corrupt_after(&self, bytes: u64) -> &Self {
        self.set(|conditions| conditions.corrupt_after = Some(bytes))
    }

    /// Kills the streams that are open. What was written still arrives; then both ends read a
    /// `ConnectionReset`. Writing fails with it at once.
    pub fn kill(&self) -> &Self {
        for path in self.paths() {
            for connection in path.connections() {
                connection.kill();
            }
        }
        self
    }

    /// Back to the defaults: no faults, 64 KiB. What was lost stays lost.
    pub fn clear(&self) -> &Self {
        self.set(|conditions| *conditions = Conditions::default())
    }

    fn set(&self, set: impl Fn(&mut Conditions)) -> &Self {
        if let Scope::All = self.scope {
            self.network.set_defaults(&set);
        }
        for path in self.paths() {
            set(&mut path.conditions());
            for connection in path.connections() {
                connection.wake();
            }
        }
        self.network.wake_connects();
        self
    }

    fn paths(&self) -> Vec<Arc<Path>> {
        match &self.scope {
            Scope::All => self.network.paths(),
            Scope::Some(paths) => paths.clone(),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for path in self.paths() {
            list.entry(&*path.conditions());
        }
        list.finish()
    }
}
