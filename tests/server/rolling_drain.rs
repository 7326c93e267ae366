//! Many call what must not run twice, while their server is drained and replaced again and again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use steeple::{
    Channel, Client, Connector, Error, Execution, Request, Response, Router, RpcService, Server,
    ServerHandle, Stopped,
    router::State,
    server::Phase,
    transport::{Listener, TcpListener, mem::MemNetwork},
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tower::{Service, service_fn, util::BoxCloneSyncService};

use crate::support::call;

const CALLERS: usize = 200;
const REPLACEMENTS: usize = 50;

/// How long a server lives.
const TERM: Duration = Duration::from_millis(5);

/// Between a dial, or a bind, that was refused and the next.
const AGAIN: Duration = Duration::from_millis(1);

type Clerk = BoxCloneSyncService<Request, Response, Error>;

/// What servers and callers have in common.
#[derive(Clone, Default)]
struct Story(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How often each call ran, by its name.
    ledger: Mutex<BTreeMap<String, usize>>,
    /// Whether the last replacement has been made.
    over: AtomicBool,
    not_sent: AtomicUsize,
    not_started: AtomicUsize,
}

impl Story {
    /// Writes down what runs. Some of it ends at once, and some takes a while in which a drain may come.
    fn service(&self) -> Clerk {
        let story = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: Request| {
            let story = story.clone();
            async move {
                let body = request.into_body();
                let name = String::from_utf8(body.as_bytes().to_vec()).unwrap();
                let millis = name.bytes().map(u64::from).sum::<u64>() % 4;
                *story.0.ledger.lock().unwrap().entry(name).or_default() += 1;
                if millis > 0 {
                    sleep(Duration::from_millis(millis)).await;
                }
                Ok(Response::new(body))
            }
        }))
    }

    fn serve(&self, listener: impl Listener) -> (ServerHandle, JoinHandle<Stopped>) {
        serve(listener, self.service())
    }

    /// Makes one call after the other until the story is over, each until it is answered, and over a new connection
    /// when the old one takes no more. Returns how many there were.
    async fn calls<F>(self, caller: usize, dial: impl Fn() -> F) -> usize
    where
        F: Future<Output = Result<Channel, Error>>,
    {
        let mut channel = None;
        let mut calls = 0;
        while !self.0.over.load(Ordering::Relaxed) {
            let name = format!("{caller}: {calls}");
            while !self.call(&name, &mut channel, &dial).await {}
            calls += 1;
        }
        calls
    }

    /// Whether the call was answered. If not, it has not run.
    async fn call<F>(&self, name: &str, channel: &mut Option<Channel>, dial: impl Fn() -> F) -> bool
    where
        F: Future<Output = Result<Channel, Error>>,
    {
        let Some(open) = channel else {
            match dial().await {
                Ok(dialled) => *channel = Some(dialled),
                Err(_) => sleep(AGAIN).await,
            }
            return false;
        };
        let error = match open.call(call("Once", name)).await {
            Ok(answer) => {
                assert_eq!(answer.body().as_bytes(), name);
                return true;
            }
            Err(error) => error,
        };
        *channel = None;
        match error.execution() {
            Execution::NotSent => self.0.not_sent.fetch_add(1, Ordering::Relaxed),
            Execution::NotStarted => self.0.not_started.fetch_add(1, Ordering::Relaxed),
            _ => panic!("{name} is in doubt: {error:?}"),
        };
        false
    }

    /// The same as a router.
    fn router(&self) -> Router {
        let service = self.service();
        let once = move |State(mut service): State<Clerk>, request: Request| async move {
            service.call(request).await
        };
        Router::new().route("Once", once).with_state(service)
    }

    /// As [`calls`](Self::calls), by a client that dials again and repeats by itself.
    async fn calls_by(self, caller: usize, mut client: Client) -> usize {
        let mut calls = 0;
        while !self.0.over.load(Ordering::Relaxed) {
            let name = format!("{caller}: {calls}");
            loop {
                let error = match client.call::<Bytes>("Once", name.as_bytes().to_vec()).await {
                    Ok(answer) => {
                        assert_eq!(answer, name);
                        break;
                    }
                    Err(error) => error,
                };
                // Where its own repeats were not enough.
                assert!(
                    error.execution().is_safe_to_repeat(),
                    "{name} is in doubt: {error:?}"
                );
                sleep(AGAIN).await;
            }
            calls += 1;
        }
        calls
    }

    /// All is over, and every call has run once.
    async fn check(&self, callers: JoinSet<usize>) {
        let calls = self.check_ledger(callers).await;
        let repeated = &self.0;
        let repeated =
            [&repeated.not_sent, &repeated.not_started].map(|it| it.load(Ordering::Relaxed));
        assert!(
            repeated.iter().sum::<usize>() > REPLACEMENTS,
            "{repeated:?} of {calls}"
        );
    }

    /// That every call has run once; how many there were.
    async fn check_ledger(&self, mut callers: JoinSet<usize>) -> usize {
        self.0.over.store(true, Ordering::Relaxed);
        let mut calls = 0;
        while let Some(made) = callers.join_next().await {
            calls += made.unwrap();
        }
        let ledger = self.0.ledger.lock().unwrap();
        let wrong: Vec<_> = ledger.iter().filter(|(_, runs)| **runs != 1).collect();
        assert!(wrong.is_empty(), "not run once: {wrong:?}");
        assert_eq!(ledger.len(), calls);
        calls
    }
}

fn serve<S>(listener: impl Listener, service: S) -> (ServerHandle, JoinHandle<Stopped>)
where
    S: RpcService<Future: Send> + Clone + Send + 'static,
{
    let server = Server::new(listener);
    (server.handle(), tokio::spawn(server.serve(service)))
}

/// Replaces a server in memory again and again.
async fn replace<S>(network: &MemNetwork, service: impl Fn() -> S)
where
    S: RpcService<Future: Send> + Clone + Send + 'static,
{
    let mut server = serve(network.listen("server").unwrap(), service());
    for _ in 0..REPLACEMENTS {
        sleep(TERM).await;
        let (handle, serving) = server;
        let drain = tokio::spawn(async move { handle.drain().await });
        let listener = loop {
            match network.listen("server") {
                Ok(listener) => break listener,
                Err(_) => sleep(AGAIN).await,
            }
        };
        server = serve(listener, service());
        drain.await.unwrap();
        assert_eq!(serving.await.unwrap(), Stopped::Drained);
    }
    // The last one serves on.
    drop(server);
}

/// Clients call without waiting for a word of the server, also those whom nobody has accepted.
#[tokio::test(start_paused = true)]
async fn no_call_is_in_doubt_or_lost_or_run_twice_while_servers_replace_each_other() {
    let (story, network) = (Story::default(), MemNetwork::new(7));
    network
        .all()
        .latency(Duration::from_micros(300))
        .jitter(Duration::from_micros(200));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let connector = Connector::new().dialer(network.dialer(&format!("client {caller}")));
        let dial = move || connector.connect("mem://server");
        callers.spawn(story.clone().calls(caller, dial));
    }
    replace(&network, || story.service()).await;
    story.check(callers).await;
}

#[tokio::test(start_paused = true)]
async fn no_call_of_a_client_is_in_doubt_or_lost_or_run_twice_either() {
    let (story, network) = (Story::default(), MemNetwork::new(7));
    network
        .all()
        .latency(Duration::from_micros(300))
        .jitter(Duration::from_micros(200));
    let mut callers = JoinSet::new();
    // Each with the connection of ten others.
    let clients: Vec<_> = (0..CALLERS / 10)
        .map(|client| {
            let dialer = network.dialer(&format!("client {client}"));
            let builder = Client::builder().connector(Connector::new().dialer(dialer));
            builder.connect_lazy("mem://server").unwrap()
        })
        .collect();
    for (caller, client) in (0..CALLERS).zip(clients.iter().cycle()) {
        callers.spawn(story.clone().calls_by(caller, client.clone()));
    }
    replace(&network, || story.router()).await;
    assert!(story.check_ledger(callers).await > CALLERS);
    let dials: u64 = clients.iter().map(|client| client.stats().dials).sum();
    assert!(dials as usize > REPLACEMENTS, "{dials}");
}

/// Over a real socket there is a moment between the last accept and the close of a listener. A client that
/// fell into it is reset, and cannot know what of its call was read: so it waits for the server's word first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_in_doubt_or_lost_or_run_twice_over_tcp() {
    let story = Story::default();
    let endpoint = "tcp://127.0.0.1:0".parse().unwrap();
    let mut server = story.serve(TcpListener::bind(&endpoint).await.unwrap());
    let address = server.0.address().to_string();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let address = address.clone();
        let dial = move || {
            let address = address.clone();
            async move {
                let channel = Channel::connect(&*address).await?;
                channel.handshaken().await?;
                Ok(channel)
            }
        };
        callers.spawn(story.clone().calls(caller, dial));
    }
    let endpoint = address.parse().unwrap();
    for _ in 0..REPLACEMENTS {
        sleep(TERM).await;
        let (handle, serving) = server;
        let drain = tokio::spawn({
            let handle = handle.clone();
            async move { handle.drain().await }
        });
        handle.reached(Phase::Draining).await;
        let listener = loop {
            match TcpListener::bind(&endpoint).await {
                Ok(listener) => break listener,
                Err(_) => sleep(AGAIN).await,
            }
        };
        server = story.serve(listener);
        drain.await.unwrap();
        assert_eq!(serving.await.unwrap(), Stopped::Drained);
    }
    story.check(callers).await;
}
