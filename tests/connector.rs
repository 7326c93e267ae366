//! What a connector makes of its dialler, and of a dial that fails, hangs or is given up.

mod support;

use std::{
    error::Error as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{self as polling, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use steeple::{
    Address, BoxError, Carry, Channel, Connector, Context, Endpoint, Error, Execution, Kind,
    Options, Replay, Server,
    layers::{RetryLayer, RetryPolicy, TimeoutLayer},
    transport::{
        Dialing, InvalidEndpoint,
        mem::{MemDialer, MemListener, MemNetwork, MemStream},
    },
};
use tokio::time::error::Elapsed;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Service, ServiceBuilder, ServiceExt};

use self::support::{Gate, RawPeer, call, echo, response, settle, soon};

/// A network on which `mem://server` serves echoes.
fn network() -> MemNetwork {
    let network = MemNetwork::new(1);
    let server = Server::new(network.listen("server").unwrap());
    tokio::spawn(server.serve(echo()));
    network
}

/// The same, cut off.
fn partitioned() -> MemNetwork {
    let network = network();
    network.link("client", "server").partition();
    network
}

fn connector(network: &MemNetwork) -> Connector<MemDialer> {
    Connector::new().dialer(network.dialer("client"))
}

/// How many dials gave a connection, and how many failed.
fn dials<D, S, W>(connector: &Connector<D, S, W>) -> (u64, u64) {
    let stats = connector.stats();
    (stats.dials, stats.dial_errors)
}

fn source<E: std::error::Error + 'static>(error: &Error) -> &E {
    let source = error.source().expect("an error with a cause");
    source.downcast_ref().expect("a cause of this type")
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_is_given_up_and_the_limit_named() {
    let connector = connector(&partitioned()).dial_timeout(Duration::from_secs(3));
    let mut connecting = task::spawn(connector.connect("mem://server"));
    assert_pending!(connecting.poll());
    tokio::time::sleep(Duration::from_millis(2999)).await;
    assert_pending!(connecting.poll());

    let error = soon(connecting).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unreachable, Execution::NotSent)
    );
    let text = error.to_string();
    for part in ["mem://server", "dial_timeout", "3s"] {
        assert!(text.contains(part), "{text}");
    }
    source::<Elapsed>(&error);
    assert_eq!(dials(&connector), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dial_may_take_ten_seconds_unless_set() {
    let network = partitioned();
    let connector = connector(&network);
    let mut given_up = task::spawn(connector.connect("mem://server"));
    assert_pending!(given_up.poll());
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut in_time = task::spawn(connector.connect("mem://server"));
    assert_pending!(in_time.poll());
    tokio::time::sleep(Duration::from_millis(9_996)).await;
    assert_ready!(given_up.poll()).unwrap_err();

    network.link("client", "server").heal();
    let mut channel = soon(in_time).await.unwrap();
    soon(channel.call(call("echo", "x"))).await.unwrap();
    assert_eq!(dials(&connector), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_fails_names_the_endpoint_and_keeps_the_cause() {
    let connector = connector(&network());
    let error = connector.connect("mem://nobody").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unreachable, Execution::NotSent)
    );
    assert_eq!(error.to_string(), "cannot reach mem://nobody");
    let cause = source::<io::Error>(&error);
    assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_endpoint_is_not_dialled() {
    let connector = connector(&network());
    let error = connector.connect("server").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("\"server\""), "{error}");
    source::<InvalidEndpoint>(&error);
    assert_eq!(dials(&connector), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dials_of_all_clones_are_counted_together() {
    let network = network();
    let connector = connector(&network);
    let clone = connector.clone().options(Options::new().max_calls(1));
    let kept = [
        connector.connect("mem://server").await.unwrap(),
        clone.connect("mem://server").await.unwrap(),
    ];
    clone.connect("mem://nobody").await.unwrap_err();
    assert_eq!(dials(&connector), (2, 1));
    assert_eq!(dials(&clone), (2, 1));
    // A connection does not count how it came to be.
    for channel in kept {
        assert_eq!((channel.stats().dials, channel.stats().accepts), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_dropped_makes_no_connection_and_is_not_counted() {
    let network = MemNetwork::new(1);
    let mut listener: MemListener = network.listen("server").unwrap();
    network.link("client", "server").partition();
    let connector = connector(&network);
    assert!(connector.connect("mem://server").now_or_never().is_none());

    network.link("client", "server").heal();
    settle().await;
    let accepted = steeple::transport::Listener::accept(&mut listener);
    assert!(accepted.now_or_never().is_none());
    assert_eq!(dials(&connector), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dialler_that_is_not_ready_is_waited_for_without_limit() {
    let gate = Gate::new(network().dialer("client"));
    let connector = Connector::new()
        .dialer(gate.clone())
        .dial_timeout(Duration::from_secs(1));
    let mut connecting = task::spawn(connector.connect("mem://server"));
    assert_pending!(connecting.poll());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_pending!(connecting.poll());

    gate.open();
    assert!(connecting.is_woken());
    soon(connecting).await.unwrap();
    assert_eq!(dials(&connector), (1, 0));
}

/// A dialler that is broken.
#[derive(Clone)]
struct Broken;

impl Service<Endpoint> for Broken {
    type Response = (MemStream, Address);
    type Error = io::Error;
    type Future = Dialing<MemStream>;

    fn poll_ready(&mut self, _: &mut polling::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("no more files")))
    }

    fn call(&mut self, _: Endpoint) -> Self::Future {
        panic!("called although it is not ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialler_that_is_broken_is_not_called() {
    let connector = Connector::new().dialer(Broken);
    let error = connector.connect("mem://server").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unreachable, Execution::NotSent)
    );
    assert_eq!(source::<io::Error>(&error).to_string(), "no more files");
    assert_eq!(dials(&connector), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn layers_around_a_dialler_shape_its_dials() {
    let network = partitioned();
    let dialled = Arc::new(AtomicUsize::new(0));
    let count = dialled.clone();
    let dialer = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .concurrency_limit(1)
        .map_request(move |endpoint: Endpoint| {
            count.fetch_add(1, Ordering::Relaxed);
            endpoint
        })
        .map_response(|(stream, _): (MemStream, Address)| {
            (stream, Address::Other("by way of a layer".into()))
        })
        .service(network.dialer("client"));
    let connector = Connector::new().dialer(dialer);
    let mut first = task::spawn(connector.connect("mem://server"));
    let mut second = task::spawn(connector.connect("mem://server"));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_eq!(dialled.load(Ordering::Relaxed), 1);

    let error = soon(first).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach mem://server");
    source::<tower::timeout::error::Elapsed>(&error);

    network.link("client", "server").heal();
    let channel = soon(second).await.unwrap();
    assert_eq!(dialled.load(Ordering::Relaxed), 2);
    let address = channel.address().unwrap().to_string();
    assert_eq!(address, "by way of a layer");
}

#[tokio::test(start_paused = true)]
async fn layers_around_a_connector_see_its_errors() {
    let connector = connector(&partitioned());
    let client = ServiceBuilder::new()
        .map_err(|error: BoxError| Error::from(error))
        .timeout(Duration::from_secs(1))
        .service(connector.clone());
    let endpoint: Endpoint = "mem://nobody".parse().unwrap();
    let error = client.clone().oneshot(endpoint).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);

    let endpoint: Endpoint = "mem://server".parse().unwrap();
    client.oneshot(endpoint).await.unwrap_err();
    assert_eq!(dials(&connector), (0, 1));
}

/// Dials again whatever could not be reached, as often as it takes.
#[derive(Clone)]
struct UntilReached;

impl tower::retry::Policy<Endpoint, Channel, BoxError> for UntilReached {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Endpoint,
        result: &mut Result<Channel, BoxError>,
    ) -> Option<Self::Future> {
        result.is_err().then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, endpoint: &Endpoint) -> Option<Endpoint> {
        Some(endpoint.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn towers_timeout_limit_and_retry_go_around_a_connector() {
    let network = partitioned();
    let connector = connector(&network);
    let stack = ServiceBuilder::new()
        .retry(UntilReached)
        .concurrency_limit(1)
        .timeout(Duration::from_secs(1))
        .service(connector.clone());
    let endpoint: Endpoint = "mem://server".parse().unwrap();
    let mut first = task::spawn(stack.clone().oneshot(endpoint.clone()));
    let mut second = task::spawn(stack.oneshot(endpoint));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    // The dial of the first is given up in favour of the second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_eq!(dials(&connector), (0, 0), "what is dropped is not counted");

    network.link("client", "server").heal();
    let both = async { tokio::try_join!(first, second) };
    let (mut one, mut other) = soon(both).await.unwrap();
    assert_eq!(dials(&connector), (2, 0));
    for channel in [&mut one, &mut other] {
        soon(channel.call(call("echo", "x"))).await.unwrap();
    }
}

/// A dial that can be tried again, and has a deadline.
#[derive(Clone)]
struct Dialled {
    endpoint: Endpoint,
    cx: Context,
}

impl Carry for Dialled {
    fn cx(&self) -> &Context {
        &self.cx
    }

    fn cx_mut(&mut self) -> &mut Context {
        &mut self.cx
    }
}

impl Replay for Dialled {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn our_retry_goes_around_a_connector_for_dials_that_carry_a_context() {
    let network = network();
    let connector = connector(&network);
    let mut stack = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(60)))
        .layer(RetryLayer::new(RetryPolicy::new().attempts(3)))
        .map_request(|dial: Dialled| dial.endpoint)
        .service(connector.clone());
    let dial = |endpoint: &str| {
        let (endpoint, cx) = (endpoint.parse().unwrap(), Context::new("Dial"));
        Dialled { endpoint, cx }
    };
    let error = soon(stack.call(dial("mem://nobody"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(dials(&connector), (0, 3));
    let mut channel: Channel = soon(stack.call(dial("mem://server"))).await.unwrap();
    soon(channel.call(call("echo", "x"))).await.unwrap();
    assert_eq!(dials(&connector), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_there_already_becomes_a_channel() {
    for address in [None, Some(Address::Other("a pipe".into()))] {
        let (near, far) = MemStream::pair(1024);
        let connector = Connector::new();
        let mut channel = connector.connect_io(near, address.clone());
        assert_eq!(channel.address(), address.as_ref());
        assert_eq!(dials(&connector), (0, 0));

        let mut server = RawPeer::new(far);
        server.shake_hands().await;
        let answer = channel.call(call("echo", "x"));
        let id = server.expect_request("echo").await.id;
        server.send(response(id).body("y")).await;
        assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "y");
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_knows_the_address_that_was_dialled() {
    let channel = connector(&network()).connect("mem://server").await.unwrap();
    assert_eq!(channel.address(), Some(&Address::Mem("server".into())));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_may_be_given_in_any_form() {
    let network = network();
    let connector = connector(&network);
    let text = String::from("mem://server");
    let endpoint: Endpoint = text.parse().unwrap();
    connector.connect(&text).await.unwrap();
    connector.connect(text).await.unwrap();
    connector.connect(&endpoint).await.unwrap();
    connector.connect(endpoint).await.unwrap();
    assert_eq!(dials(&connector), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_channel_keeps_its_connection_and_the_peer_of_a_channel_does_not() {
    let channel = connector(&network()).connect("mem://server").await.unwrap();
    channel.handshaken().await.unwrap();
    let (peer, clone) = (channel.peer().clone(), channel.clone());
    drop(channel);
    settle().await;
    assert_eq!(peer.draining().now_or_never(), None);
    drop(clone);
    soon(peer.closed()).await;
}
