//! How a server ends, and that whoever waits for its end is told.

use std::{io, time::Duration};

use futures_util::FutureExt;
use steeple::{
    Address, Channel, Connector, Execution, Kind, Options, Server, ServerHandle, Stopped,
    transport::{
        Io, Listener, Opened, Wrap,
        mem::{MemListener, MemNetwork, MemStream},
    },
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_test::{assert_pending, task};
use tower::{Service, service_fn};

use crate::support::{FOREVER, Probe, Tap, Tapped, call, settle, soon};

/// A server of a probe on a network, whose drains have all the time that they want.
struct Town {
    network: MemNetwork,
    probe: Probe,
    handle: ServerHandle,
    serving: JoinHandle<Stopped>,
}

impl Town {
    fn new() -> Self {
        let (network, server) = unserved();
        let probe = Probe::default();
        let handle = server.handle();
        let serving = tokio::spawn(server.serve(probe.service()));
        Self {
            network,
            probe,
            handle,
            serving,
        }
    }

    async fn connect(&self) -> Channel {
        connect(&self.network).await.unwrap()
    }
}

fn patient() -> Options {
    Options::new().drain_grace(10 * FOREVER)
}

fn unserved() -> (MemNetwork, Server<MemListener>) {
    let network = MemNetwork::new(1);
    let server = Server::new(network.listen("server").unwrap()).options(patient());
    (network, server)
}

async fn connect(network: &MemNetwork) -> Result<Channel, steeple::Error> {
    let connector = Connector::new()
        .dialer(network.dialer("client"))
        .options(patient());
    connector.connect("mem://server").await
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_also_if_serving_was_dropped() {
    let town = Town::new();
    let mut channel = town.connect().await;
    let _answer = channel.call(call("never", ""));
    town.probe.until_started(1).await;
    let mut begun_before = task::spawn(town.handle.drain());
    assert_pending!(begun_before.poll());

    town.serving.abort();
    soon(begun_before).await;
    soon(town.handle.drain()).await;
    soon(town.handle.close()).await;
    assert!(town.handle.peers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_also_if_the_server_was_never_served() {
    let (_network, server) = unserved();
    let handle = server.handle();
    let mut begun_before = task::spawn(handle.drain());
    assert_pending!(begun_before.poll());

    drop(server);
    soon(begun_before).await;
    soon(handle.drain()).await;
    soon(handle.close()).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_drained_before_it_serves_accepts_nobody() {
    let (network, server) = unserved();
    let handle = server.handle();
    // One has come already, and is told that nothing of its was started.
    let mut early = connect(&network).await.unwrap();
    let refused = early.call(call("echo", "x"));
    assert_eq!(handle.drain().now_or_never(), None);

    let stopped = soon(server.serve(Probe::default().service())).await;
    assert_eq!(stopped, Stopped::Drained);
    soon(handle.drain()).await;
    let error = soon(refused).await.unwrap_err();
    assert_eq!(error.execution(), Execution::NotStarted);
    let error = connect(&network).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(handle.stats().accepts, 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_that_serves_ends_its_connections() {
    let town = Town::new();
    let mut channels = [town.connect().await, town.connect().await];
    let answers = channels
        .each_mut()
        .map(|channel| channel.call(call("never", "")));
    town.probe.until_started(2).await;

    town.serving.abort();
    for answer in answers {
        let error = soon(answer).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Connection, Execution::MaybeExecuted)
        );
    }
    town.probe.until_dropped(2).await;
    connect(&town.network).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_calls_under_way_and_refuses_new_clients() {
    let town = Town::new();
    let mut channel = town.connect().await;
    let answer = channel.call(call("wait", "x"));
    town.probe.until_started(1).await;
    let mut drain = task::spawn(town.handle.drain());
    assert_pending!(drain.poll());

    soon(channel.draining()).await;
    settle().await;
    let error = connect(&town.network).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    settle().await;
    assert_pending!(drain.poll());

    town.probe.ring();
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "x");
    soon(drain).await;
    soon(town.serving).await.unwrap();
    soon(channel.closed()).await;
}

/// A handshake that takes as long.
fn slow<I: Io>(takes: Duration) -> impl Wrap<I, Io = I> {
    service_fn(move |stream: Opened<I>| async move {
        sleep(takes).await;
        Ok::<_, io::Error>(stream)
    })
}

#[tokio::test(start_paused = true)]
async fn a_client_in_its_handshake_when_a_drain_begins_is_told_that_nothing_was_started() {
    let (network, server) = unserved();
    let probe = Probe::default();
    let takes = Duration::from_millis(300);
    let handle = server.wrap(slow(takes)).spawn(probe.service());
    let mut channel = connect(&network).await.unwrap();
    let answer = channel.call(call("echo", "x"));
    sleep(Duration::from_millis(100)).await;

    soon(handle.drain()).await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(error.execution(), Execution::NotStarted);
    assert!(error.to_string().contains("the server stops"), "{error}");
    assert_eq!((probe.started(), handle.stats().refusals), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_holds_a_drain_up_for_a_second() {
    let (network, server) = unserved();
    let handle = server.wrap(slow(FOREVER)).spawn(Probe::default().service());
    let mut channel = connect(&network).await.unwrap();
    let answer = channel.call(call("echo", "x"));
    settle().await;

    let begun = Instant::now();
    soon(handle.drain()).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(1100), "{took:?}");
    soon(answer).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_nobody_waits_for_goes_on() {
    let town = Town::new();
    let channel = town.connect().await;
    assert_eq!(town.handle.drain().now_or_never(), None);
    soon(channel.closed()).await;
    soon(town.serving).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_no_call() {
    let town = Town::new();
    let mut channel = town.connect().await;
    let answer = channel.call(call("never", ""));
    town.probe.until_started(1).await;

    soon(town.handle.close()).await;
    soon(town.serving).await.unwrap();
    let error = soon(answer).await.unwrap_err();
    assert_eq!(error.execution(), Execution::MaybeExecuted);
    town.probe.until_dropped(1).await;
    // What is wanted never becomes less.
    soon(town.handle.drain()).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_a_drain_that_waits() {
    let town = Town::new();
    let mut channel = town.connect().await;
    let answer = channel.call(call("never", ""));
    town.probe.until_started(1).await;
    let mut drain = task::spawn(town.handle.drain());
    assert_pending!(drain.poll());
    soon(channel.draining()).await;
    settle().await;
    assert_pending!(drain.poll());

    soon(town.handle.close()).await;
    soon(drain).await;
    soon(answer).await.unwrap_err();
}

/// Has a server closed when its stream is dropped.
struct Closes(Option<ServerHandle>);

impl Tap for Closes {}

/// Accepts what it is given.
struct Given(mpsc::UnboundedReceiver<Tapped<Closes>>);

impl Listener for Given {
    type Io = Tapped<Closes>;

    async fn accept(&mut self) -> io::Result<(Tapped<Closes>, Address)> {
        let stream = self.0.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((stream, Address::Other("client".into())))
    }

    fn local_address(&self) -> Address {
        Address::Other("server".into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_is_not_lost_if_a_connection_ends_in_the_same_moment() {
    let (given, accepted) = mpsc::unbounded_channel();
    let server = Server::new(Given(accepted)).options(patient());
    let handle = server.handle();
    let probe = Probe::default();
    let serving = tokio::spawn(server.serve(probe.service()));
    let connect = |server| {
        let (near, inner) = MemStream::pair(1024);
        let tap = Closes(server);
        assert!(given.send(Tapped { inner, tap }).is_ok());
        Connector::new().options(patient()).connect_io(near, None)
    };
    let mut closes = connect(Some(handle.clone()));
    let mut stays = connect(None);
    let answers = [&mut closes, &mut stays].map(|channel| channel.call(call("never", "")));
    probe.until_started(2).await;
    assert_eq!(handle.drain().now_or_never(), None);
    soon(stays.draining()).await;
    settle().await;
    assert!(!serving.is_finished());

    closes.close();
    soon(serving).await.unwrap();
    for answer in answers {
        soon(answer).await.unwrap_err();
    }
}

impl Drop for Closes {
    fn drop(&mut self) {
        if let Some(server) = &self.0 {
            assert_eq!(server.close().now_or_never(), None);
        }
    }
}
