//! The connections of a server.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::handle::Wish;
use crate::{Address, Peer, Stats};

/// The connections that there are, and what those counted that are no more.
#[derive(Debug)]
pub(super) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    addresses: Vec<Address>,
    peers: BTreeMap<u64, Peer>,
    last: u64,
    past: Stats,
    /// How connections end, those too that come from now on.
    wish: Wish,
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
    pub(super) fn new(address: Address) -> Self {
        let inner = Inner {
            addresses: vec![address],
            peers: BTreeMap::new(),
            last: 0,
            past: Stats::default(),
            wish: Wish::Serve,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// The server has not ended for as long as `wishes` is there.
    pub(super) fn enter(this: &Arc<Self>, peer: Peer, wishes: watch::Receiver<Wish>) -> Entry {
        let mut inner = this.lock();
        inner.last += 1;
        let key = inner.last;
        inner.peers.insert(key, peer.clone());
        let wish = inner.wish;
        drop(inner);
        end(&peer, wish);
        Entry {
            registry: this.clone(),
            key,
            _wishes: wishes,
        }
    }

    pub(super) fn listens(&self, address: Address) {
        self.lock().addresses.push(address);
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        self.lock().addresses.clone()
    }

    /// Those that are connected. Of others handlers may still run.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let mut peers = self.all();
        peers.retain(|peer| !peer.is_closed());
        peers
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

    /// Counts a connection that was not wanted.
    pub(super) fn refused(&self) {
        self.lock().past.refusals += 1;
    }

    /// Ends all connections.
    pub(super) fn stop(&self, wish: Wish) {
        self.lock().wish = wish;
        for peer in self.all() {
            end(&peer, wish);
        }
    }

    fn all(&self) -> Vec<Peer> {
        self.lock().peers.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(peer: &Peer, wish: Wish) {
    match wish {
        Wish::Serve => {}
        Wish::Drain => peer.release(),
        Wish::Close => peer.close(),
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
