//! The life of a server, and of its connections.

use std::{io, time::Duration};

use futures_util::{FutureExt, future::join_all};
use steeple::{
    Channel, Connector, Error, Execution, Kind, Options, Peer, Request, Response, Server, Stopped,
    server::{Accepted, Phase},
    transport::{
        Address, Listener, TcpListener,
        mem::{MemListener, MemNetwork, MemStream},
    },
    wire::numbers::reason,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};
use tower::{Service, service_fn, util::BoxCloneSyncService};

use crate::support::{Probe, RawPeer, call, echo, settle, soon};

const MINUTE: Duration = Duration::from_secs(60);

fn town() -> (MemNetwork, Server<MemListener>) {
    let network = MemNetwork::new(3);
    let server = Server::new(network.listen("server").unwrap());
    (network, server)
}

async fn connect(network: &MemNetwork, name: &str) -> Result<Channel, Error> {
    let connector = Connector::new().dialer(network.dialer("client"));
    connector.connect(format!("mem://{name}").as_str()).await
}

async fn answered(channel: &mut Channel) {
    soon(channel.call(call("echo", "x"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lame_duck_serves_all_who_come_but_says_that_it_is_not_ready() {
    let (network, server) = town();
    let server = server.lame_duck(MINUTE);
    let handle = server.handle();
    assert_eq!((handle.phase(), handle.is_ready()), (Phase::Bound, false));
    let serving = tokio::spawn(server.serve(echo()));
    soon(handle.reached(Phase::Serving)).await;
    assert!(handle.is_ready());
    let mut before = connect(&network, "server").await.unwrap();
    answered(&mut before).await;

    let began = Instant::now();
    assert_eq!(handle.drain().now_or_never(), None);
    assert!(!handle.is_ready());
    soon(handle.reached(Phase::LameDuck)).await;
    let mut after = connect(&network, "server").await.unwrap();
    answered(&mut after).await;
    answered(&mut before).await;
    assert_eq!(handle.phase(), Phase::LameDuck);

    soon(before.draining()).await;
    assert!(began.elapsed() >= MINUTE);
    assert!(handle.phase() >= Phase::Draining);
    assert_eq!(soon(serving).await.unwrap(), Stopped::Drained);
    assert_eq!(handle.phase(), Phase::Closed);
    connect(&network, "server").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_a_lame_duck() {
    let (network, server) = town();
    let server = server.lame_duck(MINUTE);
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(echo()));
    let mut channel = connect(&network, "server").await.unwrap();
    answered(&mut channel).await;
    assert_eq!(handle.drain().now_or_never(), None);
    soon(handle.reached(Phase::LameDuck)).await;
    let began = Instant::now();
    soon(handle.close()).await;
    assert!(began.elapsed() < MINUTE);
    soon(channel.closed()).await;
    assert_eq!(soon(serving).await.unwrap(), Stopped::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_signal_drains() {
    let (network, server) = town();
    let (signal, signalled) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.drain_on(signalled.map(drop)).serve(echo()));
    let mut channel = connect(&network, "server").await.unwrap();
    answered(&mut channel).await;
    signal.send(()).unwrap();
    assert_eq!(soon(serving).await.unwrap(), Stopped::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_dropped_is_over() {
    let (_network, server) = town();
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(echo()));
    soon(handle.reached(Phase::Serving)).await;
    serving.abort();
    soon(handle.reached(Phase::Closed)).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_starts_again_where_it_stopped_with_the_same_service() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    let service = probe.service();
    for round in 1..=3 {
        let server = Server::new(network.listen("server").unwrap());
        let handle = server.handle();
        let serving = tokio::spawn(server.serve(service.clone()));
        let mut channel = connect(&network, "server").await.unwrap();
        answered(&mut channel).await;
        assert_eq!(probe.finished(), round);
        match round {
            2 => soon(handle.close()).await,
            _ => soon(handle.drain()).await,
        }
        soon(serving).await.unwrap();
    }
}

#[tokio::test]
async fn the_same_port_can_be_bound_again_at_once_though_clients_are_connected() {
    let mut endpoint = "tcp://127.0.0.1:0".to_owned();
    for _ in 0..3 {
        let server = Server::bind(endpoint.as_str()).await.unwrap();
        let handle = server.handle();
        endpoint = handle.address().to_string();
        let serving = tokio::spawn(server.serve(echo()));
        let mut channel = Channel::connect(endpoint.as_str()).await.unwrap();
        channel.call(call("echo", "x")).await.unwrap();
        handle.drain().await;
        assert_eq!(serving.await.unwrap(), Stopped::Drained);
    }
}

#[tokio::test]
async fn one_call_binds_and_serves() {
    let error = Server::run("nowhere", echo()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let free = TcpListener::bind(&"tcp://127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let endpoint = free.local_address().to_string();
    drop(free);
    let running = tokio::spawn({
        let endpoint = endpoint.clone();
        async move { Server::run(endpoint.as_str(), echo()).await }
    });
    let mut channel = loop {
        match Channel::connect(endpoint.as_str()).await {
            Ok(channel) => break channel,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    channel.call(call("echo", "x")).await.unwrap();
    running.abort();
    channel.closed().await;
}

#[tokio::test]
async fn one_server_serves_at_several_places() {
    let network = MemNetwork::new(1);
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.also(network.listen("inside").unwrap());
    let handle = server.handle();
    let names = handle
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    assert_eq!(names, [handle.address().to_string(), "mem://inside".into()]);
    let serving = tokio::spawn(server.serve(echo()));

    let mut outside = Channel::connect(handle.address()).await.unwrap();
    let mut inside = connect(&network, "inside").await.unwrap();
    for channel in [&mut outside, &mut inside] {
        channel.call(call("echo", "x")).await.unwrap();
    }
    assert_eq!(handle.stats().accepts, 2);
    handle.drain().await;
    assert_eq!(serving.await.unwrap(), Stopped::Drained);
    for channel in [outside, inside] {
        channel.closed().await;
    }
    Channel::connect(handle.address()).await.unwrap_err();
    connect(&network, "inside").await.unwrap_err();
}

/// Streams that a test hands over, until it has no more.
struct Given(mpsc::UnboundedReceiver<MemStream>);

impl Listener for Given {
    type Io = MemStream;

    async fn accept(&mut self) -> io::Result<(MemStream, Address)> {
        let stream = self.0.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((stream, Address::Other("client".into())))
    }

    fn local_address(&self) -> Address {
        Address::Other("here".into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_listeners_have_ended_serves_until_its_last_client_leaves() {
    let (give, given) = mpsc::unbounded_channel();
    let server = Server::new(Given(given));
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(echo()));
    let (near, far) = MemStream::pair(1024);
    give.send(far).unwrap();
    drop(give);
    let mut channel = Connector::new().connect_io(near, None);
    answered(&mut channel).await;
    sleep(MINUTE).await;
    answered(&mut channel).await;
    assert_eq!(
        (handle.phase(), handle.stats().accept_errors),
        (Phase::Serving, 0)
    );
    channel.close();
    assert_eq!(soon(serving).await.unwrap(), Stopped::Ended);
    assert_eq!(handle.phase(), Phase::Closed);
}

/// Greets each client by its name, except one.
async fn greeter(
    accepted: Accepted,
) -> Result<BoxCloneSyncService<Request, Response, Error>, Error> {
    assert_eq!(accepted.listener.to_string(), "mem://server");
    let name = accepted.address.to_string();
    match name.as_str() {
        "mem://foe" => Err(Error::new(Kind::PermissionDenied, "no foes here")),
        "mem://slow" => std::future::pending().await,
        _ => Ok(BoxCloneSyncService::new(service_fn(move |_: Request| {
            let name = name.clone();
            async move { Ok(Response::new(name.into())) }
        }))),
    }
}

#[tokio::test(start_paused = true)]
async fn each_connection_has_the_service_that_was_made_for_it_or_is_refused() {
    let (network, server) = town();
    let handle = server.handle();
    tokio::spawn(server.serve_with(service_fn(greeter)));
    let slow = network.connect("slow", "server").await.unwrap();
    let foe = network.connect("foe", "server").await.unwrap();
    for name in ["one", "other"] {
        let connector = Connector::new().dialer(network.dialer(name));
        let mut channel = connector.connect("mem://server").await.unwrap();
        let answer = soon(channel.call(call("hello", ""))).await.unwrap();
        assert_eq!(answer.body().as_bytes(), &*format!("mem://{name}"));
    }
    let mut foe = RawPeer::new(foe);
    foe.expect_preface().await;
    assert_eq!(foe.expect_goaway(reason::REFUSED).await, "no foes here");
    foe.expect_eof().await;
    let mut slow = RawPeer::new(slow);
    slow.expect_preface().await;
    let text = slow.expect_goaway(reason::TIMEOUT).await;
    assert!(text.contains("handshake_timeout"), "{text}");
    settle().await;
    assert_eq!(handle.stats().refusals, 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_made_for_a_client_can_call_it_before_it_was_called() {
    let (network, server) = town();
    let (tell, mut told) = mpsc::unbounded_channel();
    let make = service_fn(move |accepted: Accepted| {
        let (mut peer, tell) = (accepted.peer, tell.clone());
        async move {
            peer.values().insert("a guest");
            let foe = accepted.address.to_string() == "mem://foe";
            let name = peer.call(call("echo", accepted.address.to_string()));
            tokio::spawn(async move { tell.send(name.await) });
            let is_known = |request: Request| {
                let guest = Peer::of(&request).unwrap().values().get::<&str>();
                let known = guest.unwrap_or("nobody").to_owned();
                async move { Ok::<_, Error>(Response::new(known.into())) }
            };
            match foe {
                false => Ok(service_fn(is_known)),
                true => Err(Error::new(Kind::PermissionDenied, "no foes here")),
            }
        }
    });
    tokio::spawn(server.serve_with(make));
    let connector = |name| {
        let connector = Connector::new().dialer(network.dialer(name));
        connector.serve(Probe::default().service())
    };
    let mut friend = connector("friend").connect("mem://server").await.unwrap();
    let greeted = soon(told.recv()).await.unwrap().unwrap();
    assert_eq!(greeted.body().as_bytes(), "mem://friend");
    let known = soon(friend.call(call("who am i", ""))).await.unwrap();
    assert_eq!(known.body().as_bytes(), "a guest");

    let _foe = connector("foe").connect("mem://server").await.unwrap();
    let refused = soon(told.recv()).await.unwrap().unwrap_err();
    assert_eq!(refused.execution(), Execution::NotSent);
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_service_is_being_made_holds_no_drain_up() {
    let (network, server) = town();
    let handle = server.handle();
    tokio::spawn(server.serve_with(service_fn(greeter)));
    let connector = Connector::new().dialer(network.dialer("slow"));
    let mut channel = connector.connect("mem://server").await.unwrap();
    let answer = channel.call(call("hello", ""));
    settle().await;
    let began = Instant::now();
    soon(handle.drain()).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(
        soon(answer).await.unwrap_err().execution(),
        Execution::NotStarted
    );
}

#[tokio::test(start_paused = true)]
async fn old_connections_are_drained_and_not_all_at_once() {
    fastrand::seed(1);
    let (network, server) = town();
    let probe = Probe::default();
    tokio::spawn(server.max_age(MINUTE).serve(probe.service()));
    let began = Instant::now();
    let mut channels = Vec::new();
    for _ in 0..20 {
        channels.push(connect(&network, "server").await.unwrap());
    }
    // What is under way when the time comes, still ends.
    let long = channels[0].call(call("sleep", "80000"));
    let ages = channels.iter().map(async |channel| {
        channel.draining().await;
        began.elapsed()
    });
    let mut ages = soon(join_all(ages)).await;
    soon(long).await.unwrap();
    assert!(
        *ages.iter().min().unwrap() >= MINUTE.mul_f64(0.89),
        "{ages:?}"
    );
    assert!(
        *ages.iter().max().unwrap() <= MINUTE.mul_f64(1.11),
        "{ages:?}"
    );
    ages.sort();
    ages.dedup();
    assert!(ages.len() > 1, "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_calls_is_drained() {
    let (network, server) = town();
    let options = Options::new().drain_grace(10 * MINUTE);
    tokio::spawn(
        server
            .options(options)
            .max_idle(MINUTE)
            .serve(Probe::default().service()),
    );
    let mut channel = connect(&network, "server").await.unwrap();
    // Calls, and handlers that take their time, are work.
    for _ in 0..5 {
        sleep(MINUTE.mul_f64(0.8)).await;
        answered(&mut channel).await;
    }
    soon(channel.call(call("sleep", "300000"))).await.unwrap();
    assert!(!channel.is_closed());
    let began = Instant::now();
    soon(channel.closed()).await;
    let idle = began.elapsed();
    assert!(
        idle >= MINUTE.mul_f64(0.75) && idle <= MINUTE.mul_f64(1.25),
        "{idle:?}"
    );
}
