//! The connections of a server.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::handle::Wish;
use crate::{Peer, Stats};

/// The connections that there are, and what those counted that are no more.
#[derive(Debug, Default)]
pub(super) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    peers: BTreeMap<u64, Peer>,
    last: u64,
    past: Stats,
}

/// A connection's place, for as long as it is served.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Arc<Registry>,
    key: u64,
    /// Goes after all else, and lets the server end.
    _wishes: watch::Receiver<Wish>,
}

impl Registry {
    /// The server has not ended for as long as `wishes` is there.
    pub(super) fn enter(this: &Arc<Self>, peer: Peer, wishes: watch::Receiver<Wish>) -> Entry {
        let mut inner = this.lock();
        inner.last += 1;
        let key = inner.last;
        inner.peers.insert(key, peer);
        drop(inner);
        Entry {
            registry: this.clone(),
            key,
            _wishes: wishes,
        }
    }

    pub(super) fn peers(&self) -> Vec<Peer> {
        self.lock().peers.values().cloned().collect()
    }

    pub(super) fn stats(&self) -> Stats {
        let inner = self.lock();
        let mut stats = inner.past;
        for peer in inner.peers.values() {
            stats += peer.stats();
        }
        stats
    }

    /// Counts an accept.
    pub(super) fn accepted(&self, well: bool) {
        let past = &mut self.lock().past;
        match well {
            true => past.accepts += 1,
            false => past.accept_errors += 1,
        }
    }

    /// Ends all connections.
    pub(super) fn stop(&self, wish: Wish) {
        for peer in self.peers() {
            match wish {
                Wish::Close => peer.close(),
                Wish::Serve | Wish::Drain => peer.release(),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        let peer = inner.peers.remove(&self.key);
        // In one step, so that no sum is without it.
        if let Some(peer) = &peer {
            inner.past += peer.stats();
        }
        drop(inner);
    }
}
