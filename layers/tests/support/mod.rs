//! Endpoints that tests start, stop and let fail.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    collections::BTreeMap,
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use steeple_layers::{
    Carry, Context, Error, Execution, Kind, Lifecycle, Origin, Replay,
    balance::{Balance, BalanceLayer, PeakEwma, Pick},
    replicas::{Replicas, State},
    resolve::{Resolution, Resolver, Target, Version},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tower::{Layer, Service, ServiceExt};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(crate) type Client<P = PeakEwma> = Balance<Fake, P>;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A call.
#[derive(Clone, Default)]
pub(crate) struct Call(pub(crate) Context);

impl Carry for Call {
    fn cx(&self) -> &Context {
        &self.0
    }

    fn cx_mut(&mut self) -> &mut Context {
        &mut self.0
    }
}

impl Replay for Call {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Call {
    /// A call with this deadline from now.
    pub(crate) fn within(limit: Duration) -> Self {
        let mut call = Self::default();
        call.0.set_timeout(limit);
        call
    }
}

/// Servers by name, and a connector to them.
#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<BTreeMap<String, Server>>>);

#[derive(Default)]
struct Server {
    down: bool,
    silent: bool,
    behaviour: Behaviour,
    connections: Vec<Fake>,
    dials: usize,
    calls: usize,
}

/// What a server does with its calls.
#[derive(Clone, Copy, Default)]
pub(crate) enum Behaviour {
    #[default]
    Answer,
    AnswerAfter(Duration),
    Fail(Kind),
    Hang,
}

/// A connection.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    name: String,
    net: Net,
    status: watch::Sender<Status>,
    pending: AtomicUsize,
    mute: std::sync::atomic::AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Dialled,
    Open,
    Draining,
    Closed,
}

impl Net {
    fn server<R>(&self, name: &str, act: impl FnOnce(&mut Server) -> R) -> R {
        act(self.0.lock().unwrap().entry(name.to_owned()).or_default())
    }

    /// Ends the server and all its connections.
    pub(crate) fn stop(&self, name: &str) {
        let connections = self.server(name, |server| {
            server.down = true;
            std::mem::take(&mut server.connections)
        });
        for connection in connections {
            connection.reach(Status::Closed);
        }
    }

    pub(crate) fn start(&self, name: &str) {
        self.server(name, |server| server.down = false);
    }

    /// Connections are made from now on, and no handshake is.
    pub(crate) fn fall_silent(&self, name: &str) {
        self.server(name, |server| server.silent = true);
    }

    /// Whether the connections leave pings without an answer from now on.
    pub(crate) fn mute(&self, name: &str, mute: bool) {
        self.server(name, |server| {
            for connection in &server.connections {
                connection.0.mute.store(mute, SeqCst);
            }
        });
    }

    /// The server drains its connections.
    pub(crate) fn drain(&self, name: &str) {
        for connection in self.connections(name) {
            connection.reach(Status::Draining);
        }
    }

    pub(crate) fn behave(&self, name: &str, behaviour: Behaviour) {
        self.server(name, |server| server.behaviour = behaviour);
    }

    pub(crate) fn dials(&self, name: &str) -> usize {
        self.server(name, |server| server.dials)
    }

    pub(crate) fn calls(&self, name: &str) -> usize {
        self.server(name, |server| server.calls)
    }

    /// How many connections there are that are not over.
    pub(crate) fn open(&self, name: &str) -> usize {
        let connections = self.connections(name);
        connections
            .iter()
            .filter(|connection| connection.status() < Status::Closed)
            .count()
    }

    pub(crate) fn connections(&self, name: &str) -> Vec<Fake> {
        self.server(name, |server| server.connections.clone())
    }
}

impl Service<&'static str> for Net {
    type Response = Fake;
    type Error = Error;
    type Future = BoxFuture<Result<Fake, Error>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: &'static str) -> Self::Future {
        let net = self.clone();
        Box::pin(async move {
            sleep(MS).await;
            net.clone().server(name, |server| {
                server.dials += 1;
                if server.down {
                    return Err(Error::new(Kind::Unreachable, format!("{name} is down")));
                }
                let first = match server.silent {
                    true => Status::Dialled,
                    false => Status::Open,
                };
                let fake = Fake(Arc::new(Inner {
                    name: name.to_owned(),
                    net,
                    status: watch::Sender::new(first),
                    pending: AtomicUsize::new(0),
                    mute: false.into(),
                }));
                server.connections.push(fake.clone());
                Ok(fake)
            })
        })
    }
}

impl Fake {
    /// Of its server.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether these are the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn status(&self) -> Status {
        *self.0.status.borrow()
    }

    pub(crate) fn reach(&self, status: Status) {
        self.0.status.send_if_modified(|now| {
            let later = status > *now;
            *now = status.max(*now);
            later
        });
    }

    async fn reached(&self, status: Status) {
        let mut statuses = self.0.status.subscribe();
        let _ = statuses.wait_for(|now| *now >= status).await;
    }
}

impl Lifecycle for Fake {
    async fn handshaken(&self) -> Result<(), Error> {
        self.reached(Status::Open).await;
        match self.status() {
            Status::Closed => Err(lost()),
            _ => Ok(()),
        }
    }

    async fn draining(&self) {
        self.reached(Status::Draining).await;
    }

    async fn closed(&self) {
        self.reached(Status::Closed).await;
    }

    async fn ping(&self) -> Result<Duration, Error> {
        match self.0.mute.load(SeqCst) {
            true => pending().await,
            false => Ok(MS),
        }
    }

    async fn drain(&self) {
        self.reach(Status::Draining);
        while self.pending() > 0 && self.status() < Status::Closed {
            sleep(MS).await;
        }
        self.reach(Status::Closed);
    }

    fn close(&self) {
        self.reach(Status::Closed);
    }

    fn pending(&self) -> usize {
        self.0.pending.load(SeqCst)
    }
}

impl Service<Call> for Fake {
    type Response = String;
    type Error = Error;
    type Future = BoxFuture<Result<String, Error>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        match self.status() {
            Status::Closed => Poll::Ready(Err(lost().with_execution(Execution::NotSent))),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: Call) -> Self::Future {
        let fake = self.clone();
        if fake.status() >= Status::Draining {
            return Box::pin(async { Err(Error::new(Kind::Unavailable, "the connection drains")) });
        }
        let behaviour = fake.0.net.server(&fake.0.name, |server| {
            server.calls += 1;
            server.behaviour
        });
        fake.0.pending.fetch_add(1, SeqCst);
        let pending = Pending(fake.clone());
        Box::pin(async move {
            let _pending = pending;
            let remote = |kind| {
                let error = Error::new(kind, "no").with_origin(Origin::Remote);
                error.with_execution(Execution::MaybeExecuted)
            };
            let answer = async {
                match behaviour {
                    Behaviour::Answer => Ok(fake.0.name.clone()),
                    Behaviour::AnswerAfter(time) => {
                        sleep(time).await;
                        Ok(fake.0.name.clone())
                    }
                    Behaviour::Fail(kind) => Err(remote(kind)),
                    Behaviour::Hang => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = answer => answer,
                () = fake.closed() => Err(lost()),
            }
        })
    }
}

struct Pending(Fake);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.0.pending.fetch_sub(1, SeqCst);
    }
}

fn lost() -> Error {
    Error::new(Kind::Connection, "lost")
        .with_origin(Origin::Transport)
        .with_execution(Execution::MaybeExecuted)
}

/// A versioned resolver whose answer the test sets.
#[derive(Clone)]
pub(crate) struct Listed(watch::Sender<(u64, Vec<Target<&'static str>>)>);

impl Listed {
    pub(crate) fn new(names: &[&'static str]) -> Self {
        Self(watch::Sender::new((1, targets(names))))
    }

    pub(crate) fn set(&self, names: &[&'static str]) {
        self.set_targets(targets(names));
    }

    pub(crate) fn set_targets(&self, targets: Vec<Target<&'static str>>) {
        self.0.send_modify(|(version, listed)| {
            *version += 1;
            *listed = targets;
        });
    }

    /// How many wait for news.
    pub(crate) fn watchers(&self) -> usize {
        self.0.receiver_count()
    }
}

fn targets(names: &[&'static str]) -> Vec<Target<&'static str>> {
    names.iter().map(|name| Target::new(*name)).collect()
}

impl Resolver<&'static str> for Listed {
    async fn resolve(
        &self,
        after: Option<&Version>,
    ) -> Result<Resolution<&'static str>, steeple_layers::BoxError> {
        let mut listed = self.0.subscribe();
        let is_new = |(version, _): &(u64, _)| after != Some(&Version::from(*version));
        let (version, targets) = listed.wait_for(is_new).await?.clone();
        Ok(Resolution::versioned(targets, version))
    }
}

/// A client of these replicas.
pub(crate) fn client(replicas: &Replicas<Fake>) -> Client {
    client_by(replicas, PeakEwma::default())
}

pub(crate) fn client_by<P: Pick>(replicas: &Replicas<Fake>, pick: P) -> Client<P> {
    BalanceLayer::new(pick).layer(replicas.clone())
}

pub(crate) async fn call<P: Pick>(client: &mut Client<P>, call: Call) -> Result<String, Error> {
    client.ready().await?.call(call).await
}

/// Which replica answers a call that has a second.
pub(crate) async fn answer<P: Pick>(client: &mut Client<P>) -> String {
    let answer = call(client, Call::within(Duration::from_secs(1))).await;
    answer.expect("an answer")
}

/// The output of something that must not hang. The clock is paused, so it takes no time.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    let forever = Duration::from_secs(600);
    timeout(forever, what).await.expect("this hangs")
}

/// Lets everybody do what takes no longer than a dial, or another question to the resolver.
pub(crate) async fn settle() {
    sleep(15 * MS).await;
}

/// The states of all endpoints.
pub(crate) fn states(replicas: &Replicas<Fake>) -> Vec<(String, State)> {
    let endpoints = replicas.endpoints();
    let state =
        |status: &steeple_layers::replicas::Status| (status.address().to_owned(), status.state());
    endpoints.iter().map(state).collect()
}

/// Whether the endpoints are in these states, in this order.
pub(crate) fn are(replicas: &Replicas<Fake>, expected: &[(&str, State)]) -> bool {
    let states = states(replicas);
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, state)| ((*name).to_owned(), *state))
        .collect();
    assert_eq!(states, expected);
    true
}
