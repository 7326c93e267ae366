//! The layer and its service.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::{ArcSwap, Cache};
use smallvec::SmallVec;
use tower_layer::Layer;
use tower_service::Service;

use super::{BalanceFuture, Choice, PeakEwma, Pick, waiting::Waiting};
use crate::{
    AsError, Carry, Error, Kind,
    explain::{Explain, Explanation, Role, short_name},
    moment::Moment,
    replicas::{Admitted, Elsewhere, Member, Replica, ReplicaFuture, Replicas, Snapshot, refused},
};

/// Makes a service of [`Replicas`]: each call goes to the one that a [`Pick`] chooses.
#[derive(Debug)]
pub struct BalanceLayer<P = PeakEwma> {
    pick: Arc<P>,
    fail_fast: bool,
}

/// The service of [`BalanceLayer`]. A cheap `Clone`, always ready.
///
/// A call without a live replica waits for one until its [deadline](crate::Context::deadline). One that [fails
/// fast](crate::Context::is_fail_fast) waits only while nobody knows better: it fails as soon as the last dial of
/// each replica has failed, and at once if that is so already.
///
/// # Errors
/// [`Kind::Unreachable`], not sent, if there was no live replica in time; the source is the last reason why
/// one is not live, and [`is_timeout`](Error::is_timeout) says whether the deadline has passed.
/// [`Kind::Closed`] if the set is closed. All else comes from the replica.
pub struct Balance<S, P = PeakEwma> {
    replicas: Replicas<S>,
    snapshot: Cache<Arc<ArcSwap<Snapshot<S>>>, Arc<Snapshot<S>>>,
    /// Of the snapshot of that version, as far as they were called: own clones, so that a connection can keep
    /// from one call to the next what it uses again. With one replica of one connection in place: with thousands of
    /// clones each further allocation is another miss of the caches per call.
    called: SmallVec<[Option<Replica<S>>; 1]>,
    version: u64,
    pick: Arc<P>,
    pub(super) fail_fast: bool,
}

/// Which replica a call goes to.
enum Picked {
    Place(usize),
    Failed(Error),
    /// There is none for now.
    None,
}

/// A call that was let in by the replica at that place.
pub(super) type Route<E> = (usize, Admitted<E>);

impl<P: Pick> BalanceLayer<P> {
    /// Balances by `pick`, which all services of this layer share.
    pub fn new(pick: P) -> Self {
        Self {
            pick: Arc::new(pick),
            fail_fast: false,
        }
    }

    /// Whether calls [fail fast](crate::Context::is_fail_fast) that do not say whether they do. Default:
    /// they wait until their deadline.
    #[must_use]
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }
}

impl Default for BalanceLayer {
    fn default() -> Self {
        Self::new(PeakEwma::default())
    }
}

impl<S, P: Pick> Layer<Replicas<S>> for BalanceLayer<P> {
    type Service = Balance<S, P>;

    fn layer(&self, replicas: Replicas<S>) -> Balance<S, P> {
        Balance {
            snapshot: Cache::new(replicas.snapshot().clone()),
            replicas,
            called: SmallVec::new(),
            version: 0,
            pick: self.pick.clone(),
            fail_fast: self.fail_fast,
        }
    }
}

impl<S, P> Balance<S, P> {
    /// The set below.
    pub fn replicas(&self) -> &Replicas<S> {
        &self.replicas
    }

    /// Whether the newest snapshot has replicas.
    pub(super) fn has_replicas(&mut self) -> bool {
        !self.snapshot.load().members().is_empty()
    }
}

impl<S, P: Pick> Balance<S, P> {
    /// The replica that a call with this context would go to, waited for as the call would wait. For what takes
    /// more than one call; [`Replica::connection`] gives the connection itself.
    ///
    /// # Errors
    /// As a call without a live replica.
    pub async fn choose(&mut self, cx: &crate::Context) -> Result<Replica<S>, Error>
    where
        S: Clone,
    {
        let mut waiting = None;
        poll_fn(|task| {
            let waiting = waiting.get_or_insert_with(|| Waiting::new(self.clone(), cx));
            waiting.poll(task, |balance| {
                let snapshot = balance.snapshot.load();
                match pick(snapshot, &*balance.pick, cx) {
                    Picked::Place(place) => Some(Ok(snapshot.replica(place))),
                    Picked::Failed(error) => Some(Err(error)),
                    Picked::None => None,
                }
            })
        })
        .await
    }

    /// Finds a replica of the newest snapshot that lets a call in; nothing if there is none for now. It is to be
    /// [called](Self::call_on) before another call is routed.
    #[inline]
    pub(super) fn route<Req>(
        &mut self,
        cx: &crate::Context,
        started: Moment,
    ) -> Option<Result<Route<S::Error>, Error>>
    where
        S: Service<Req, Error: AsError> + Clone,
    {
        let snapshot = self.snapshot.load();
        let picked = match pick(snapshot, &*self.pick, cx) {
            Picked::Place(place) => place,
            Picked::Failed(error) => return Some(Err(error)),
            Picked::None => return None,
        };
        let count = snapshot.members().len();
        if self.version != snapshot.version() {
            self.version = snapshot.version();
            self.called.clear();
            self.called.resize_with(count, || None);
        }
        // One that takes no call after all, since it is about to go or is on probation, passes it on.
        (picked..count).chain(0..picked).find_map(|place| {
            let replica = self.called[place].get_or_insert_with(|| snapshot.replica(place));
            let elsewhere = elsewhere(snapshot.members(), cx, place);
            Some(Ok((place, replica.admit(started, elsewhere)?)))
        })
    }

    /// Makes a call that was [routed](Self::route).
    #[inline]
    pub(super) fn call_on<Req>(
        &mut self,
        (place, admitted): Route<S::Error>,
        request: Req,
    ) -> ReplicaFuture<S, Req>
    where
        S: Service<Req> + Clone,
    {
        let replica = self.called[place].as_mut();
        let replica = replica.expect("a replica that let a call in was made");
        replica.call_admitted(admitted, request)
    }
}

impl<S, P, Req> Service<Req> for Balance<S, P>
where
    S: Service<Req> + Clone,
    S::Error: From<Error> + AsError,
    P: Pick,
    Req: Carry,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BalanceFuture<S, P, Req>;

    /// Always ready, and reserves nothing: a clone that is ready and idle is in nobody's way.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> BalanceFuture<S, P, Req> {
        let cx = request.cx_mut();
        if cx.seed() == 0 {
            cx.set_seed(fastrand::u32(1..));
        }
        // Those above share one clock read; a repeat comes later than that.
        let started = match cx.attempt() {
            0 => cx.start_moment(),
            _ => Moment::now(),
        };
        match self.route::<Req>(request.cx(), started) {
            Some(Ok(route)) => BalanceFuture::called(self.call_on(route, request)),
            Some(Err(error)) => BalanceFuture::failed(error),
            None => BalanceFuture::waiting(Waiting::new(self.clone(), request.cx()), request),
        }
    }
}

impl<S: Explain, P> Explain for Balance<S, P> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("Balance").role(Role::AlwaysReady);
        part.setting(short_name::<P>());
        if self.fail_fast {
            part.setting("fails fast");
        }
        self.replicas.explain(out);
    }
}

/// Asks the picker.
fn pick<S, P: Pick>(snapshot: &Snapshot<S>, pick: &P, cx: &crate::Context) -> Picked {
    let members = snapshot.members();
    if let Some(refusal) = snapshot.refusal() {
        return Picked::Failed(refused(refusal));
    }
    if members.is_empty() {
        return Picked::None;
    }
    match pick.pick(members, cx) {
        Choice::Member(place) if place < members.len() => Picked::Place(place),
        Choice::Member(place) => {
            let count = members.len();
            let text = format!("the picker chose place {place} of {count} members");
            Picked::Failed(Error::new(Kind::Internal, text))
        }
        Choice::Wait => Picked::None,
        Choice::Fail(error) => Picked::Failed(error),
    }
}

/// Where else than to that place a call can go.
fn elsewhere(members: &[Member], cx: &crate::Context, place: usize) -> Elsewhere {
    if members.len() == 1 {
        return Elsewhere::Nowhere;
    }
    let mut others = (0..members.len()).filter(|other| *other != place);
    match cx.tried().is_empty() || others.any(|other| !members[other].was_tried(cx)) {
        true => Elsewhere::Untried,
        false => Elsewhere::Tried,
    }
}

impl<P> Clone for BalanceLayer<P> {
    fn clone(&self) -> Self {
        Self {
            pick: self.pick.clone(),
            fail_fast: self.fail_fast,
        }
    }
}

impl<S, P> Clone for Balance<S, P> {
    fn clone(&self) -> Self {
        Self {
            replicas: self.replicas.clone(),
            snapshot: self.snapshot.clone(),
            called: SmallVec::new(),
            version: 0,
            pick: self.pick.clone(),
            fail_fast: self.fail_fast,
        }
    }
}

impl<S, P: fmt::Debug> fmt::Debug for Balance<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("replicas", &self.replicas)
            .field("pick", &self.pick)
            .field("fail_fast", &self.fail_fast)
            .finish_non_exhaustive()
    }
}
