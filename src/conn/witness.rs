//! What a connection has counted, for those who add up.

use std::sync::Arc;

use super::{peer::Peer, shared::Shared, stats::Stats};

/// Reads the counters of a connection, and knows when they are final. Several may watch one connection: that of
/// the connector that made it, and that of the client which uses it.
#[derive(Debug)]
pub(crate) struct Witness(Arc<Shared>);

impl Witness {
    pub(crate) fn new(peer: &Peer) -> Self {
        let shared = peer.shared().clone();
        // In this order, and the other one at the end: there are never fewer references than witnesses.
        shared.outbox().witnesses += 1;
        Self(shared)
    }

    /// A consistent copy of what the connection has counted.
    pub(crate) fn stats(&self) -> Stats {
        self.0.outbox().stats()
    }

    /// The counters, if nobody but witnesses has the connection: it is over, and they change no more.
    pub(crate) fn final_stats(&self) -> Option<Stats> {
        let outbox = self.0.outbox();
        (Arc::strong_count(&self.0) == outbox.witnesses).then(|| outbox.stats())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.outbox().witnesses -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::{Builder, Unserved};

    #[tokio::test]
    async fn counters_are_final_when_only_witnesses_are_left_however_many() {
        let (io, _far) = tokio::io::duplex(64);
        let (peer, connection) = Builder::new(crate::wire::Role::Dialer).build(io, Unserved);
        let witnesses = [(); 2].map(|()| Witness::new(&peer));
        drop(connection);
        assert!(witnesses.iter().all(|it| it.final_stats().is_none()));
        drop(peer);
        for witness in witnesses {
            assert!(witness.final_stats().is_some());
        }
    }

    #[tokio::test]
    async fn a_witness_that_leaves_makes_nothing_final() {
        let (io, _far) = tokio::io::duplex(64);
        let (peer, connection) = Builder::new(crate::wire::Role::Dialer).build(io, Unserved);
        let [stays, leaves] = [(); 2].map(|()| Witness::new(&peer));
        drop((connection, leaves));
        assert!(stays.final_stats().is_none());
    }
}
