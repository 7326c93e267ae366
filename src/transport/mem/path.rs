//! What happens to the bytes that go from one name to another.

use std::{
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use fastrand::Rng;

use super::{DEFAULT_CAPACITY, connection::Connection, lock};

/// The way from one name to another, shared by all streams between them.
#[derive(Debug, Default)]
pub(super) struct Path {
    conditions: Mutex<Conditions>,
    connections: Mutex<Vec<Weak<Connection>>>,
}

#[derive(Clone, Debug)]
pub(super) struct Conditions {
    /// How many bytes may be written and not yet read.
    pub(super) capacity: usize,
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) bandwidth: Option<Bandwidth>,
    pub(super) torn: bool,
    pub(super) held: bool,
    pub(super) swallowed: bool,
    pub(super) refused: bool,
    /// How many bytes still pass before the stream that carried them is killed.
    pub(super) kill_after: Option<u64>,
    /// How many bytes still pass before one that is not what it was.
    pub(super) corrupt_after: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Bandwidth {
    pub(super) bytes: usize,
    pub(super) per: Duration,
}

impl Path {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self {
            conditions: Mutex::new(conditions),
            connections: Mutex::default(),
        }
    }

    /// Locked after a connection, never before one.
    pub(super) fn conditions(&self) -> MutexGuard<'_, Conditions> {
        lock(&self.conditions)
    }

    /// Remembers a connection for as long as it lives.
    pub(super) fn add(&self, connection: &Arc<Connection>) {
        let mut connections = lock(&self.connections);
        connections.retain(|known| known.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
    }

    /// The connections that go this way, in the order in which they were made.
    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        let connections = lock(&self.connections);
        connections.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Conditions {
    /// How long the next piece takes.
    pub(super) fn delay(&self, rng: &mut Rng) -> Duration {
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        self.latency + Duration::from_nanos(rng.u64(0..=jitter))
    }

    /// Counts `len` bytes that pass, and cuts them off where the stream is to be killed; says whether it is.
    pub(super) fn cut_at_kill(&mut self, len: &mut usize) -> bool {
        let Some(left) = self.kill_after else {
            return false;
        };
        *len = usize::try_from(left).map_or(*len, |left| left.min(*len));
        let left = left - *len as u64;
        self.kill_after = (left > 0).then_some(left);
        left == 0
    }

    /// Counts `len` bytes that pass, and says which of them is to be corrupted, if one is.
    pub(super) fn take_corrupt(&mut self, len: usize) -> Option<usize> {
        let left = self.corrupt_after?;
        if left >= len as u64 {
            self.corrupt_after = Some(left - len as u64);
            return None;
        }
        self.corrupt_after = None;
        usize::try_from(left).ok()
    }

    /// Whether what is sent this way does not arrive for the time being.
    pub(super) fn is_silent(&self) -> bool {
        self.held || self.swallowed
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            capacity: DEFAULT_CAPACITY,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            bandwidth: None,
            torn: false,
            held: false,
            swallowed: false,
            refused: false,
            kill_after: None,
            corrupt_after: None,
        }
    }
}

impl Bandwidth {
    /// How long `bytes` bytes occupy the line.
    pub(super) fn time(self, bytes: usize) -> Duration {
        self.per.mul_f64(bytes as f64 / self.bytes as f64)
    }
}
