//! Messages without an answer outlive who sent them, and a server that stops waits for their handlers.

use std::time::Duration;

use futures_util::FutureExt;
use steeple::{
    Channel, Client, Connector, Options, Server, ServerHandle,
    conn::Excess,
    server::serve_connection,
    transport::mem::{MemNetwork, MemStream},
};
use tokio::{time::Instant, time::sleep};

use crate::support::{Probe, call, settle, soon};

const GRACE: Duration = Duration::from_secs(30);

fn serve(network: &MemNetwork, probe: &Probe) -> ServerHandle {
    let options = Options::new().drain_grace(GRACE);
    let server = Server::new(network.listen("server").unwrap()).options(options);
    server.spawn(probe.service())
}

async fn connect(network: &MemNetwork) -> Channel {
    let connector = Connector::new().dialer(network.dialer("client"));
    connector.connect("mem://server").await.unwrap()
}

/// Sends a message whose handler begins and waits for the bell.
async fn tell(channel: &Channel, probe: &Probe) {
    channel.notify(call("wait", "x")).unwrap();
    probe.until_started(probe.started() + 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_messages_whose_client_leaves_when_it_is_told() {
    let (network, probe) = (MemNetwork::new(1), Probe::default());
    let server = serve(&network, &probe);
    let builder = Client::builder().connector(Connector::new().dialer(network.dialer("client")));
    let mut client = builder.connect("mem://server").await.unwrap();
    client.notify("wait", "x").await.unwrap();
    probe.until_started(1).await;

    let draining = tokio::spawn(async move { server.drain().await });
    // The client has let go of its connection by then.
    sleep(GRACE / 2).await;
    assert!(!draining.is_finished());
    assert_eq!((probe.finished(), probe.dropped()), (0, 0));
    probe.ring();
    soon(draining).await.unwrap();
    assert_eq!((probe.finished(), probe.dropped()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_messages_whose_client_had_left_before() {
    let (network, probe) = (MemNetwork::new(1), Probe::default());
    let server = serve(&network, &probe);
    let channel = connect(&network).await;
    tell(&channel, &probe).await;
    soon(channel.drain()).await;
    sleep(2 * GRACE).await;
    assert!(server.peers().is_empty());
    assert_eq!(server.stats().handling, 1);

    assert_eq!(server.drain().now_or_never(), None);
    settle().await;
    assert_eq!(server.drain().now_or_never(), None);
    probe.ring();
    soon(server.drain()).await;
    assert_eq!(probe.finished(), 1);
    assert_eq!(server.stats().handling, 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_a_message_no_longer_than_its_grace() {
    let (network, probe) = (MemNetwork::new(1), Probe::default());
    let server = serve(&network, &probe);
    let channel = connect(&network).await;
    channel.notify(call("never", "")).unwrap();
    probe.until_started(1).await;
    soon(channel.drain()).await;
    let began = Instant::now();
    soon(server.drain()).await;
    assert_eq!(began.elapsed().as_secs(), GRACE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_no_message() {
    let (network, probe) = (MemNetwork::new(1), Probe::default());
    let server = serve(&network, &probe);
    let channel = connect(&network).await;
    tell(&channel, &probe).await;
    soon(channel.drain()).await;
    settle().await;
    let began = Instant::now();
    soon(server.close()).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_handled_takes_the_place_of_no_client() {
    let (network, probe) = (MemNetwork::new(1), Probe::default());
    let server = Server::new(network.listen("server").unwrap()).max_connections(1, Excess::Refuse);
    server.spawn(probe.service());
    let first = connect(&network).await;
    tell(&first, &probe).await;
    soon(first.drain()).await;
    settle().await;
    let second = connect(&network).await;
    soon(second.handshaken()).await.unwrap();
    assert_eq!((probe.finished(), probe.dropped()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_serves_one_stream_has_served_it_when_its_messages_are_handled() {
    let probe = Probe::default();
    let (near, far) = MemStream::pair(1024);
    let serving = tokio::spawn(serve_connection(far, probe.service()));
    let channel = Connector::new().connect_io(near, None);
    tell(&channel, &probe).await;
    soon(channel.drain()).await;
    settle().await;
    assert!(!serving.is_finished());
    probe.ring();
    soon(serving).await.unwrap().unwrap();
    assert_eq!(probe.finished(), 1);
}
