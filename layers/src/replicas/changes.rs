//! A set as tower's balancers see it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::futures::OwnedNotified;
use tower::discover::Change;

use super::{Replica, Replicas};

/// The coming and going of replicas: a stream of tower's `Change`, and so a `Discover`, by address.
///
/// A replica that has other connections than before comes again. It keeps the set.
pub struct Changes<S> {
    replicas: Replicas<S>,
    published: Pin<Box<OwnedNotified>>,
    /// The version that was seen, and its replicas by address and connections.
    version: u64,
    seen: Vec<(Arc<str>, Vec<u64>)>,
    queue: VecDeque<Change<Arc<str>, Replica<S>>>,
}

impl<S> Changes<S> {
    pub(super) fn new(replicas: Replicas<S>) -> Self {
        Self {
            published: Box::pin(replicas.published().clone().notified_owned()),
            replicas,
            version: 0,
            seen: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// Queues what differs from what was seen.
    fn look(&mut self) {
        let snapshot = self.replicas.snapshot().load();
        if snapshot.version == self.version {
            return;
        }
        self.version = snapshot.version;
        let seats = snapshot.seats.iter().map(|seat| {
            let links = seat.links.iter().map(|link| link.generation).collect();
            (seat.member.address_arc().clone(), links)
        });
        let now: Vec<_> = seats.collect();
        for (address, _) in &self.seen {
            if !now.iter().any(|(other, _)| other == address) {
                self.queue.push_back(Change::Remove(address.clone()));
            }
        }
        for (place, seat) in now.iter().enumerate() {
            if !self.seen.contains(seat) {
                let change = Change::Insert(seat.0.clone(), snapshot.replica(place));
                self.queue.push_back(change);
            }
        }
        self.seen = now;
    }
}

impl<S> Stream for Changes<S> {
    type Item = Result<Change<Arc<str>, Replica<S>>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            this.look();
            if let Some(change) = this.queue.pop_front() {
                return Poll::Ready(Some(Ok(change)));
            }
            // Made before the look, so that no publication falls between the two.
            if this.published.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let published = this.replicas.published().clone();
            this.published = Box::pin(published.notified_owned());
        }
    }
}

impl<S> fmt::Debug for Changes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
