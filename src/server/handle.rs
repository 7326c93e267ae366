//! What is left in the hand when a server runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::registry::Registry;
use crate::{Address, Peer, Stats};

/// Watches and stops a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    address: Address,
    /// Who has a receiver of it has not ended: the server, and each of its connections.
    wish: Arc<watch::Sender<Wish>>,
    registry: Arc<Registry>,
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

impl ServerHandle {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            wish: Arc::new(watch::Sender::new(Wish::Serve)),
            registry: Arc::default(),
        }
    }

    /// Where the server listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The clients that are connected now, in the order in which they came.
    pub fn peers(&self) -> Vec<Peer> {
        self.registry.peers()
    }

    /// What all connections of this server have counted, those that ended included.
    pub fn stats(&self) -> Stats {
        self.registry.stats()
    }

    /// Ends the server in order: it accepts no more, tells every client, serves what was called before the
    /// client knew, and closes each connection when all of that is answered, or after
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

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    fn want(&self, wish: Wish) {
        // What is wanted never becomes less.
        self.wish.send_if_modified(|wanted| {
            let more = wish > *wanted;
            *wanted = wish.max(*wanted);
            more
        });
    }
}
