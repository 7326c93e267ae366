//! What a client with the default stack has counted, over all its connections.

use std::time::Duration;

use steeple::{
    Client, Connector, Kind, Server, ServerHandle,
    layers::{Replicas, resolve::Fixed},
    transport::mem::{MemDialer, MemNetwork},
};

use crate::support::{Probe, settle, soon};

fn serve(network: &MemNetwork, name: &str) -> ServerHandle {
    let listener = network.listen(name).unwrap();
    Server::new(listener).spawn(Probe::default().service())
}

fn connector(network: &MemNetwork) -> Connector<MemDialer> {
    Connector::new().dialer(network.dialer("client"))
}

#[tokio::test(start_paused = true)]
async fn a_client_counts_what_all_its_connections_did_those_that_are_lost_too() {
    let network = MemNetwork::new(1);
    let servers = ["a", "b"].map(|name| serve(&network, name));
    let builder = Client::builder().connector(connector(&network));
    let mut client = builder.connect("mem://a,mem://b").await.unwrap();
    settle().await;
    assert_eq!(client.stats().dials, 2);
    for _ in 0..20 {
        client.call::<String>("echo", "x").await.unwrap();
    }
    client.call::<()>("no such", "").await.unwrap_err();
    client.notify("echo", "x").await.unwrap();
    settle().await;
    let before = client.stats();
    let counted = (
        before.calls.ok(),
        before.calls.errors(Kind::Unimplemented),
        before.one_way_sent,
    );
    assert_eq!(counted, (20, 1, 1));

    // Both sides agree, and one that is lost has counted what it had.
    for server in servers {
        soon(server.close()).await;
    }
    settle().await;
    let lost = client.stats();
    assert_eq!((lost.calls, lost.dials), (before.calls, 2));
    assert!(lost.bytes_written >= before.bytes_written && lost.bytes_read > 0);

    // Dials that fail are counted, and so is what comes after them.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(client.stats().dial_errors > 0);
    let server = serve(&network, "a");
    let again = client.clone().call::<String>("echo", "x").await;
    assert_eq!(again.unwrap(), "x");
    let since = client.stats().since(&lost);
    assert_eq!((since.calls.total(), since.dials), (1, 1));
    soon(client.drain()).await;
    settle().await;
    let all = client.stats();
    assert_eq!(
        (all.calls.total(), all.in_flight, all.pending),
        (22, 0, 0),
        "one call after another, each counted once"
    );
    assert_eq!(all.since(&lost).bytes_written, server.stats().bytes_read);
}

#[tokio::test(start_paused = true)]
async fn connections_that_were_made_by_hand_are_counted_by_their_connector() {
    let network = MemNetwork::new(1);
    let _server = serve(&network, "a");
    let connector = connector(&network);
    let endpoints = Fixed::new(["mem://a".parse::<steeple::Endpoint>().unwrap()]).unwrap();
    let replicas = Replicas::new(endpoints, connector.clone());
    let mut client = Client::builder().replicas(replicas);
    client.call::<String>("echo", "x").await.unwrap();
    soon(client.drain()).await;
    let stats = connector.stats();
    assert_eq!((stats.calls.ok(), stats.dials), (1, 1));
    assert_eq!(client.stats().dials, 0);
}
