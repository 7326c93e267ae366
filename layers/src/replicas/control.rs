//! The task of a set: it asks the resolver, and starts and ends endpoints.

use std::{
    collections::HashMap,
    fmt,
    future::pending,
    marker::PhantomData,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    HealthCheck, Member, Probe,
    caught::caught,
    endpoint::{Endpoint, Kept},
    link::{Link, Order},
    set::Handle,
    shared::{Shared, Wish},
    stats::Stats,
    table::Entry,
};
use crate::{
    Backoff, BoxError, Error, Kind, Lifecycle,
    resolve::{Resolution, Resolver, Target, Version},
    tried::Marks,
};

/// What resolves and starts.
pub(super) struct Control<T, R, C, L, S, H> {
    pub(super) target: PhantomData<fn(T)>,
    pub(super) resolver: R,
    pub(super) connector: C,
    pub(super) layer: L,
    pub(super) check: Option<HealthCheck<H>>,
    pub(super) shared: Arc<Shared<S>>,
    pub(super) wishes: watch::Receiver<Wish>,
    pub(super) handle: Weak<Handle<S>>,
}

impl<T, R, C, L, S, H> Control<T, R, C, L, S, H>
where
    T: Clone + fmt::Display + Send + 'static,
    R: Resolver<T>,
    C: Service<T, Response: Lifecycle + Clone, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    L: Layer<C::Response, Service = S> + Clone + Send + 'static,
    S: Clone + Send + Sync + 'static,
    H: Probe<C::Response>,
{
    /// Runs until the set ends.
    pub(super) async fn run(self) {
        let shared = self.shared.clone();
        let work = async {
            self.work().await;
            Ok(())
        };
        // Nobody would follow the resolver any more, unseen.
        if let Err(error) = caught("the task of the replica set panicked", work).await {
            refuse(&shared, error);
        }
    }

    async fn work(mut self) {
        let mut wishes = self.wishes.clone();
        let handle = self.handle.clone();
        let shared = self.shared.clone();
        tokio::select! {
            biased;
            // An error is the end too.
            _ = wishes.wait_for(|wish| matches!(wish, Wish::Drain | Wish::Close)) => {}
            () = self.follow() => {}
            () = watch_use(&shared, &handle) => {}
        }
    }

    /// Does what the resolver says; does not return.
    async fn follow(&mut self) {
        let mut version: Option<Version> = None;
        let mut failures = 0;
        loop {
            let asked = async {
                let resolved = self.resolver.resolve(version.as_ref()).await;
                resolved.map_err(|error| {
                    let text = "the endpoints could not be resolved";
                    Error::new(Kind::Unreachable, text).with_source(error)
                })
            };
            let error = match caught("the resolver panicked", asked).await {
                Ok(resolution) => match broken_contract(&self.resolver, &resolution) {
                    // From the first answer on nothing can be called; a later one is passed over.
                    Some(error) if version.is_none() => {
                        refuse(&self.shared, error);
                        return pending().await;
                    }
                    Some(error) => Some(error),
                    None if version.is_none() || resolution.version() != version.as_ref() => {
                        version = resolution.version().cloned();
                        self.apply(resolution);
                        if version.is_none() {
                            return pending().await;
                        }
                        failures = 0;
                        sleep(PAUSE).await;
                        continue;
                    }
                    // To be asked again, and not in a hot loop.
                    None => {
                        self.shared.update(|table| table.unresolved = None);
                        None
                    }
                },
                Err(error) => Some(error),
            };
            if let Some(error) = error {
                tracing::warn!(target: "steeple::replicas", %error, "not resolved");
                self.shared.update(|table| table.unresolved = Some(error));
            }
            sleep(Backoff::default().wait(failures, fastrand::u64(..))).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Makes the set that of the resolver.
    fn apply(&self, resolution: Resolution<T>) {
        let listed = by_address(resolution.into_targets());
        let places: HashMap<_, _> = listed
            .iter()
            .map(|(address, _)| address.clone())
            .zip(0..)
            .collect();
        let mut known = vec![false; listed.len()];
        let fresh: Vec<_> = self.shared.update(|table| {
            table.resolved = true;
            table.unresolved = None;
            for entry in &mut table.entries {
                let place = places.get(entry.member.address_arc()).copied();
                if let Some(place) = place {
                    known[place] = true;
                    entry.member = entry
                        .member
                        .with_attributes(listed[place].1.attributes().clone());
                } else {
                    entry.hidden = true;
                }
                entry.listed.send_if_modified(|listed| {
                    std::mem::replace(listed, place.is_some()) != place.is_some()
                });
            }
            let members = table.entries.iter().map(|entry| &entry.member);
            let mut marks = Marks::beside(members.map(|member| member.stats().mark));
            let fresh = listed.into_iter().zip(known).filter(|(_, known)| !known);
            fresh
                .map(|((address, target), _)| {
                    let stats = Stats::new(&self.shared.options, address, marks.take());
                    let member = Member::with(target.attributes().clone(), Arc::new(stats));
                    let (sender, listed) = watch::channel(true);
                    table.entries.push(Entry::new(member.clone(), sender));
                    (member, target.into_endpoint(), listed)
                })
                .collect()
        });
        for (member, target, listed) in fresh {
            self.start(member, target, listed);
        }
    }

    fn start(&self, member: Member, target: T, listed: watch::Receiver<bool>) {
        let (orders, order) = watch::channel(Order::Idle);
        let link = |number| Link {
            number,
            target: target.clone(),
            member: member.clone(),
            connector: self.connector.clone(),
            layer: self.layer.clone(),
            check: self.check.clone(),
            shared: self.shared.clone(),
            orders: order.clone(),
            wishes: self.wishes.clone(),
        };
        let links = 0..self.shared.options.connections;
        let links = links.map(|number| Box::pin(link(number).keep()) as Kept);
        let links = links.collect();
        let endpoint = Endpoint {
            member: member.clone(),
            shared: self.shared.clone(),
            orders,
            wishes: self.wishes.clone(),
            listed,
        };
        tokio::spawn(endpoint.run(links));
    }
}

/// Fails all calls from here on.
fn refuse<S: Clone>(shared: &Shared<S>, error: Error) {
    tracing::error!(target: "steeple::replicas", %error, "no call can succeed");
    shared.update(|table| table.refusal = Some(error));
}

/// Lets the connections go when nothing was called for a while; does not return.
async fn watch_use<S>(shared: &Shared<S>, handle: &Weak<Handle<S>>) {
    let Some(limit) = shared.options.idle_timeout else {
        return pending().await;
    };
    loop {
        let now = Instant::now();
        let used = shared.read(|table| {
            let members = table.entries.iter().map(|entry| &entry.member);
            let used = members.filter_map(|member| match member.pending() {
                0 => member.stats().last_used(),
                _ => Some(now),
            });
            used.fold(shared.waiting.last(), Instant::max)
        });
        if now >= used + limit {
            let Some(handle) = handle.upgrade() else {
                return pending().await;
            };
            handle.idle();
            drop(handle);
            sleep(limit).await;
        } else {
            sleep_until(used + limit).await;
        }
    }
}

/// Before the resolver is asked for the next answer: one that always has news would not let others run.
const PAUSE: Duration = Duration::from_millis(10);

/// What the resolver should not have answered.
fn broken_contract<T, R: Resolver<T>>(resolver: &R, resolution: &Resolution<T>) -> Option<Error> {
    match (resolver.is_constant(), resolution.version()) {
        (true, Some(_)) => Some(Error::new(
            Kind::Invalid,
            "a constant resolver gave a version",
        )),
        (false, None) => {
            let text = "a resolver that is not constant gave no version";
            Some(Error::new(Kind::Invalid, text))
        }
        (true, None) if resolution.targets().is_empty() => {
            let text = "a constant set of endpoints is empty";
            Some(Error::new(Kind::Unreachable, text))
        }
        _ => None,
    }
}

/// The targets by their addresses; one that is listed twice has the weight of both.
fn by_address<T: fmt::Display>(targets: Vec<Target<T>>) -> Vec<(Arc<str>, Target<T>)> {
    let mut places = HashMap::new();
    let mut unique: Vec<(Arc<str>, Target<T>)> = Vec::with_capacity(targets.len());
    for target in targets {
        let address: Arc<str> = target.endpoint().to_string().into();
        match places.get(&address) {
            Some(place) => {
                let (_, first): &mut (_, Target<T>) = &mut unique[*place];
                first.add_weight(target.weight());
            }
            None => {
                places.insert(address.clone(), unique.len());
                unique.push((address, target));
            }
        }
    }
    unique
}
