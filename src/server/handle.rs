//! What is left in the hand when a server runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::registry::Registry;
use crate::{Address, Peer, Stats, events};

/// Watches and stops a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    address: Address,
    /// Who has a receiver of it has not ended: the server, and each of its connections.
    wish: Arc<watch::Sender<Wish>>,
    phase: Arc<watch::Sender<Phase>>,
    registry: Arc<Registry>,
}

/// How far a server is in its [life](super#the-life-of-a-server). It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    /// It listens and serves nobody yet.
    Bound,
    /// It serves.
    Serving,
    /// It serves, but wants no more clients: those who ask are told that it is not ready.
    LameDuck,
    /// It accepts nobody and finishes what it has.
    Draining,
    /// It is over.
    Closed,
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// It was [closed](ServerHandle::close): calls that were under way have failed.
    Closed,
    /// It was [drained](ServerHandle::drain): each connection has ended in order, or its grace was over.
    Drained,
    /// All its listeners have [ended](crate::transport::Listener::accept), and after them its connections.
    Ended,
}

/// What is wanted of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// To serve.
    Serve,
    /// To finish what it has.
    Drain,
    /// To stop.
    Close,
}

/// Says that a server is over when it is dropped.
#[derive(Debug)]
pub(super) struct Life(Arc<watch::Sender<Phase>>);

impl ServerHandle {
    pub(super) fn new(address: Address) -> (Self, Life) {
        let phase = Arc::new(watch::Sender::new(Phase::Bound));
        let life = Life(phase.clone());
        let handle = Self {
            registry: Arc::new(Registry::new(address.clone())),
            address,
            wish: Arc::new(watch::Sender::new(Wish::Serve)),
            phase,
        };
        (handle, life)
    }

    /// Where the server listens: of several places, the first.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// All places where the server listens.
    pub fn addresses(&self) -> Vec<Address> {
        self.registry.addresses()
    }

    /// The clients that are connected now, in the order in which they came.
    pub fn peers(&self) -> Vec<Peer> {
        self.registry.peers()
    }

    /// What all connections of this server have counted, those that ended included.
    pub fn stats(&self) -> Stats {
        self.registry.stats()
    }

    /// How far the server is.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether the server wants clients: what a health check answers. False before it serves, and from the first
    /// moment of a drain, lame duck or not.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Serving && *self.wish.borrow() == Wish::Serve
    }

    /// Waits until the server is as far as `phase`, or further.
    pub async fn reached(&self, phase: Phase) {
        // The sender is here, so there is always one.
        let _ = self.phase.subscribe().wait_for(|at| *at >= phase).await;
    }

    /// Ends the server in order: after its [lame duck](super::Server::lame_duck) phase, if it has one, it
    /// accepts no more, tells every client, serves what was called before the
    /// client knew, messages without an answer too, and closes each connection when all of that is done, or after
    /// [`drain_grace`](crate::Options::drain_grace). Returns when all are closed, or the server was dropped. It
    /// goes on if this future is dropped.
    pub async fn drain(&self) {
        self.want(Wish::Drain);
        self.wish.closed().await;
    }

    /// Ends the server at once, one that drains too: calls under way fail. Returns when all connections are
    /// closed, or the server was dropped. It goes on if this future is dropped.
    pub async fn close(&self) {
        self.want(Wish::Close);
        self.wish.closed().await;
    }

    pub(super) fn wishes(&self) -> watch::Receiver<Wish> {
        self.wish.subscribe()
    }

    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(super) fn want(&self, wish: Wish) {
        // What is wanted never becomes less.
        self.wish.send_if_modified(|wanted| {
            let more = wish > *wanted;
            *wanted = wish.max(*wanted);
            more
        });
    }
}

impl Life {
    /// The server has come as far as `phase`.
    pub(super) fn reach(&self, phase: Phase) {
        tracing::info!(target: events::SERVER, ?phase, "a server's phase");
        self.0.send_replace(phase);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.reach(Phase::Closed);
    }
}
