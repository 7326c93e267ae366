//! The handle of a set.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tower_service::Service;

use super::{
    Builder, Changes, Replica, State, Status,
    shared::{Shared, Wish},
    snapshot::Snapshot,
    table::unreachable,
};
use crate::{
    BoxError, Error, Kind, Lifecycle,
    explain::{Explain, Explanation, Role},
    resolve::Resolver,
};

/// A set of endpoints that are kept connected, whether or not calls flow. A cheap `Clone`.
///
/// It is no service itself: a layer over it chooses the replica of each call, by
/// [`BalanceLayer`](crate::balance::BalanceLayer) or one of your own. `S` is the service of a replica: the
/// connection under the layers that [`Builder::layer`] put on it.
///
/// With its last clone the connections end in order, so that calls under way still end. A replica that was taken
/// out of the set does not keep it.
pub struct Replicas<S> {
    handle: Arc<Handle<S>>,
}

/// What all clones have together. Its end is that of the set.
pub(super) struct Handle<S> {
    shared: Arc<Shared<S>>,
    wish: watch::Sender<Wish>,
    /// The task of the set, if it was made where none can run, until there is a call.
    deferred: Mutex<Option<Deferred>>,
}

pub(super) type Deferred = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Somebody who waits for a replica.
pub(crate) struct Demand<S>(Arc<Shared<S>>);

impl Replicas<()> {
    /// A set whose settings differ from the defaults, of services that are not known yet.
    pub fn builder<R, C>(resolver: R, connector: C) -> Builder<R, C> {
        Builder::new(resolver, connector)
    }
}

impl<S> Replicas<S> {
    /// Connects to what `resolver` finds by `connector`, as [`Builder`] does by default.
    ///
    /// # Panics
    /// If called outside of a tokio runtime.
    pub fn new<T, R, C>(resolver: R, connector: C) -> Self
    where
        T: Clone + fmt::Display + Send + 'static,
        R: Resolver<T>,
        C: Service<T, Response = S, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
        S: Lifecycle + Clone,
    {
        Replicas::builder(resolver, connector).start()
    }

    pub(super) fn from_parts(shared: Arc<Shared<S>>, wish: watch::Sender<Wish>) -> Self {
        Self {
            handle: Arc::new(Handle {
                shared,
                wish,
                deferred: Mutex::default(),
            }),
        }
    }

    /// Starts the task of the set with the first call.
    pub(super) fn defer(&self, control: Deferred) {
        *self.handle.deferred() = Some(control);
    }

    /// All endpoints, those that are not live too, and those that end.
    pub fn endpoints(&self) -> Vec<Status> {
        self.shared().read(|table| table.statuses())
    }

    /// Why the resolver did not answer the last time, if so: the set goes on with what was found before, and asks again.
    pub fn unresolved(&self) -> Option<Error> {
        self.shared().read(|table| table.unresolved.clone())
    }

    /// The replicas that a balancer can choose from now.
    pub fn replicas(&self) -> Vec<Replica<S>> {
        let snapshot = self.shared().snapshot.load();
        (0..snapshot.members.len())
            .map(|place| snapshot.replica(place))
            .collect()
    }

    /// The replica at this address, written as its endpoint prints, if it can be called now.
    pub fn get(&self, address: &str) -> Option<Replica<S>> {
        let snapshot = self.shared().snapshot.load();
        let mut members = snapshot.members.iter();
        let place = members.position(|member| member.address() == address)?;
        Some(snapshot.replica(place))
    }

    /// The coming and going of the replicas, beginning with those that are there: what tower's own balancers
    /// take.
    pub fn changes(&self) -> Changes<S> {
        Changes::new(self.clone())
    }

    /// Waits until a first replica is live, and connects if the set is lazy. A set whose resolver says that
    /// there are no endpoints now is as ready as it can be.
    ///
    /// # Errors
    /// If it is closed, its resolver fails or breaks its contract, or the last dial of each endpoint has failed:
    /// [`Kind::Unreachable`] with the last reason as the source. The set goes on trying all the same.
    pub async fn ready(&self) -> Result<(), Error> {
        let _demand = self.demand();
        loop {
            let changed = self.shared().changed.notified();
            match self.verdict() {
                Some(verdict) => return verdict,
                None => changed.await,
            }
        }
    }

    /// Whether a call could be made, or why not; nothing while that is being found out.
    pub(crate) fn verdict(&self) -> Option<Result<(), Error>> {
        self.shared()
            .read(|table| table.verdict(&self.shared().options))
    }

    pub(crate) fn snapshot(&self) -> &Arc<ArcSwap<Snapshot<S>>> {
        &self.shared().snapshot
    }

    /// Rings when there is a new snapshot.
    pub(crate) fn published(&self) -> &Arc<Notify> {
        &self.shared().published
    }

    /// Rings when anything has changed, the verdict too.
    pub(crate) fn changed(&self) -> &Arc<Notify> {
        &self.shared().changed
    }

    /// Connects, if that was put off, and keeps the set from being idle as long as the answer lives.
    pub(crate) fn demand(&self) -> Demand<S> {
        self.shared().waiting.begin();
        let deferred = self.handle.deferred().take();
        if let Some(control) = deferred {
            tokio::spawn(control);
        }
        self.handle.wish.send_if_modified(|wish| {
            let is_idle = *wish == Wish::Idle;
            if is_idle {
                *wish = Wish::Run;
            }
            is_idle
        });
        Demand(self.shared().clone())
    }

    /// What a call fails with that did not find a live replica.
    pub(crate) fn unreachable(&self, text: &'static str) -> Error {
        unreachable(text.into(), self.shared().read(|table| table.reason()))
    }

    fn shared(&self) -> &Arc<Shared<S>> {
        &self.handle.shared
    }

    pub(super) fn downgrade(&self) -> std::sync::Weak<Handle<S>> {
        Arc::downgrade(&self.handle)
    }
}

impl<S: Clone> Replicas<S> {
    /// Ends all connections in order: calls under way end, later ones fail before they begin. It is begun when
    /// this returns, whether or not the future is polled, which is ready when all tasks of the set have ended.
    pub fn drain(&self) -> impl Future<Output = ()> {
        self.end(Wish::Drain)
    }

    /// Ends all connections at once, those that drain too: calls under way fail, later ones before they begin.
    /// It is begun when this returns, whether or not the future is polled, which is ready when all tasks of
    /// the set have ended. It may be repeated.
    pub fn close(&self) -> impl Future<Output = ()> {
        self.end(Wish::Close)
    }

    fn end(&self, end: Wish) -> impl Future<Output = ()> {
        let closed = Error::new(Kind::Closed, "the replica set is closed");
        self.shared().update(|table| {
            table.refusal.get_or_insert(closed);
        });
        self.handle.wish.send_if_modified(|wish| {
            let is_news = *wish != Wish::Close && *wish != end;
            if is_news {
                *wish = end;
            }
            is_news
        });
        drop(self.handle.deferred().take());
        self.handle.wish.closed()
    }
}

impl<S> Handle<S> {
    fn deferred(&self) -> MutexGuard<'_, Option<Deferred>> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the connections go until the next call, unless one waits.
    pub(super) fn idle(&self) {
        self.wish.send_if_modified(|wish| {
            // One that begins to wait after this look finds the wish changed: both hold its lock.
            let lets_go = *wish == Wish::Run && self.shared.waiting.is_empty();
            if lets_go {
                *wish = Wish::Idle;
            }
            lets_go
        });
    }
}

impl<S> Drop for Demand<S> {
    fn drop(&mut self) {
        self.0.waiting.end();
    }
}

impl<S> Clone for Replicas<S> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
        }
    }
}

/// Of the layers on each replica those are told that are on the first one; none while no replica is live.
impl<S: Explain> Explain for Replicas<S> {
    fn explain(&self, out: &mut Explanation) {
        let endpoints = self.endpoints();
        let live = endpoints.iter().filter(|one| one.state() == State::Live);
        let (live, all) = (live.count(), endpoints.len());
        let options = &self.shared().options;
        let part = out.part("Replicas");
        part.role(Role::AlwaysReady).role(Role::Connection);
        part.setting(format_args!("{live} of {all} live"));
        if options.connections > 1 {
            part.setting(format_args!("{} connections to each", options.connections));
        } else if all == 1 {
            part.role(Role::OneConnection);
        }
        if let Some(zone) = &options.zone {
            part.setting(format_args!("zone {zone} first"));
        }
        let snapshot = self.shared().snapshot.load();
        if let Some(seat) = snapshot.seats.first()
            && let Some(link) = seat.links.first()
        {
            part.setting(format_args!("inside is {}", seat.member.address()));
            link.service.explain(out);
        }
    }
}

impl<S> fmt::Debug for Replicas<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas")
            .field("endpoints", &self.endpoints())
            .finish_non_exhaustive()
    }
}
