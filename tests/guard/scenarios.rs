//! The calls that are counted: always the same, in the same order.

use std::{
    collections::BTreeMap,
    future::{poll_fn, ready},
    io,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use steeple::{
    Address, Client, Connector, Endpoint, Error, Request, Response, Router, RpcService, Server,
    transport::Dial,
};
use tokio::{
    runtime::{self, Runtime},
    sync::{Notify, Semaphore},
};
use tower::service_fn;

use crate::{
    costs,
    streams::{Counted, Traffic, incoming, pair},
};

/// One way to call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    over: Over,
    shape: Shape,
    /// Bytes in the body of a call, which comes back.
    body: usize,
    /// How many calls are counted, after as many that are not.
    calls: usize,
}

#[derive(Clone, Copy, Debug)]
enum Over {
    /// A `Channel`, and a service that is one function.
    Channel,
    /// A `Client` with its default stack, and a `Router` under a server's.
    Paved,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    /// So many tasks, each of which waits for its answer before it calls again.
    Callers(usize),
    /// One task, which makes so many calls at once.
    Batch(usize),
}

/// All of them. To count another is a line here, and one in the table.
pub(crate) const SCENARIOS: [Scenario; 7] = {
    use {Over::*, Shape::*};
    [
        scenario("a channel, 1 at a time", Channel, Callers(1), 64, 5_000),
        scenario("a channel, 64 at a time", Channel, Callers(64), 64, 12_800),
        scenario("a channel, batches of 512", Channel, Batch(512), 64, 12_800),
        scenario(
            "a channel, bodies of 1 MiB",
            Channel,
            Callers(1),
            1 << 20,
            50,
        ),
        scenario("the paved road, 1 at a time", Paved, Callers(1), 64, 5_000),
        scenario(
            "the paved road, 64 at a time",
            Paved,
            Callers(64),
            64,
            12_800,
        ),
        scenario(
            "the paved road, batches of 512",
            Paved,
            Batch(512),
            64,
            12_800,
        ),
    ]
};

const fn scenario(
    name: &'static str,
    over: Over,
    shape: Shape,
    body: usize,
    calls: usize,
) -> Scenario {
    Scenario {
        name,
        over,
        shape,
        body,
        calls,
    }
}

/// The one method.
const ECHO: &str = "Echo";

impl Scenario {
    /// What one of its calls costs, by the name of the figure.
    pub(crate) fn run(&self) -> BTreeMap<&'static str, f64> {
        // On a clock that stands still, or a first handler that is slow would be given a task.
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O");
        let watch = Arc::new(Watch::new());
        runtime.block_on(self.start(&watch));
        // Buffers grow, and methods get their numbers, before anything is counted.
        measured(&runtime, &watch, self.calls);
        let before = watch.counted();
        let allocated = allocation_counter::measure(|| measured(&runtime, &watch, self.calls));
        let counted = watch.counted().into_iter().zip(before);
        let mut all: BTreeMap<_, _> = counted
            .map(|((name, after), (_, before))| (name, after - before))
            .collect();
        all.insert(costs::ALLOCATIONS, allocated.count_total);
        all.insert(costs::ALLOCATED, allocated.bytes_total);
        let calls = self.calls as f64;
        all.into_iter()
            .map(|(name, count)| (name, count as f64 / calls))
            .collect()
    }

    /// How many calls a run makes within [`measured`].
    pub(crate) fn measured_calls(&self) -> usize {
        2 * self.calls
    }

    /// Starts a server, connects to it, and starts the callers, who never end.
    async fn start(&self, watch: &Arc<Watch>) {
        let (clients, listener) = incoming();
        let server = Server::new(listener);
        let (near, far) = pair(&watch.client, &watch.server);
        clients.send(far).expect("the server listens");
        match self.over {
            Over::Channel => {
                let echo =
                    |request: Request| ready(Ok::<_, Error>(Response::new(request.into_body())));
                tokio::spawn(server.serve_bare(service_fn(echo)));
                let channel = Connector::new().connect_io(near, None);
                self.call(Client::new(channel), watch);
            }
            Over::Paved => {
                tokio::spawn(server.serve(Router::new().route(ECHO, async |body: Bytes| body)));
                let connector = Connector::new().dialer(only(near));
                let client = Client::builder().connector(connector);
                self.call(
                    client.connect("mem://inside").await.expect("an endpoint"),
                    watch,
                );
            }
        }
    }

    fn call<S>(&self, client: Client<S>, watch: &Arc<Watch>)
    where
        S: RpcService + Clone + Send + 'static,
        S::Future: Send,
    {
        let body = Bytes::from(vec![0x5a; self.body]);
        let callers = match self.shape {
            Shape::Callers(callers) => callers,
            Shape::Batch(calls) => {
                tokio::spawn(batches(client, calls, body, watch.clone()));
                return;
            }
        };
        for _ in 0..callers {
            let (mut client, body, watch) = (client.clone(), body.clone(), watch.clone());
            tokio::spawn(async move {
                loop {
                    watch.may_call(1).await;
                    let call = client.call::<Bytes>(ECHO, body.clone()).into_future();
                    let answer = watch.polled(call).await.expect("an echo");
                    assert_eq!(answer.len(), body.len());
                    watch.answered(1);
                }
            });
        }
    }
}

async fn batches<S>(client: Client<S>, calls: usize, body: Bytes, watch: Arc<Watch>)
where
    S: RpcService + Clone + Send + 'static,
{
    let batch = client.batch();
    loop {
        watch.may_call(calls).await;
        let call = |_| batch.call::<Bytes>(ECHO, body.clone()).expect("room");
        let items: Vec<_> = (0..calls).map(call).collect();
        watch.polled(batch.run()).await.expect("a connection");
        for item in items {
            assert_eq!(item.take().expect("an echo").len(), body.len());
        }
        watch.answered(calls);
    }
}

/// Dials once, and finds this.
fn only(stream: Counted) -> impl Dial<Io = Counted> + Clone + Sync {
    let stream = Arc::new(Mutex::new(Some(stream)));
    service_fn(move |_: Endpoint| {
        let stream = stream.lock().expect("nobody panics").take();
        let stream = stream.ok_or(io::Error::from(io::ErrorKind::ConnectionRefused));
        ready(stream.map(|stream| (stream, Address::Other("inside".into()))))
    })
}

/// Lets the callers make so many calls, and waits until all are answered. callgrind knows it by its name.
#[inline(never)]
fn measured(runtime: &Runtime, watch: &Watch, calls: usize) {
    runtime.block_on(async {
        watch.unanswered.store(calls, Relaxed);
        watch.permits.add_permits(calls);
        watch.done.notified().await;
    });
}

/// What happened up to now.
#[derive(Debug)]
struct Watch {
    client: Arc<Traffic>,
    server: Arc<Traffic>,
    /// How often the callers' futures were polled.
    polls: AtomicU64,
    /// For the calls that may be made.
    permits: Semaphore,
    unanswered: AtomicUsize,
    /// Nothing is unanswered any more.
    done: Notify,
}

impl Watch {
    /// Nobody may call yet.
    fn new() -> Self {
        Self {
            client: Arc::default(),
            server: Arc::default(),
            polls: AtomicU64::new(0),
            permits: Semaphore::new(0),
            unanswered: AtomicUsize::new(0),
            done: Notify::new(),
        }
    }

    /// Counts the polls of a caller.
    async fn polled<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        poll_fn(|cx| {
            self.polls.fetch_add(1, Relaxed);
            call.as_mut().poll(cx)
        })
        .await
    }

    /// Waits until so many calls may be made.
    async fn may_call(&self, calls: usize) {
        let permits = self.permits.acquire_many(calls as u32).await;
        permits.expect("they never end").forget();
    }

    fn answered(&self, calls: usize) {
        if self.unanswered.fetch_sub(calls, Relaxed) == calls {
            self.done.notify_one();
        }
    }

    fn counted(&self) -> [(&'static str, u64); 6] {
        let Self { client, server, .. } = self;
        let bytes = client.bytes.load(Relaxed) + server.bytes.load(Relaxed);
        [
            (costs::WIRE_BYTES, bytes),
            (costs::CLIENT_READS, client.reads.load(Relaxed)),
            (costs::SERVER_READS, server.reads.load(Relaxed)),
            (costs::CLIENT_WRITES, client.writes.load(Relaxed)),
            (costs::SERVER_WRITES, server.writes.load(Relaxed)),
            (costs::POLLS, self.polls.load(Relaxed)),
        ]
    }
}
