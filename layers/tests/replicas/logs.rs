//! What a log above a set tells of its calls.

use steeple_layers::{
    BalanceLayer, Kind, LogLayer, RetryLayer, RetryPolicy, TimeoutLayer,
    balance::RoundRobin,
    replicas::{Ejection, Replicas},
    resolve::Fixed,
};
use tokio_test::{assert_pending, task};
use tower::{Service, ServiceBuilder};
use tracing::Level;

use crate::{
    lines::listen,
    support::{Behaviour, Call, MS, Net, settle, soon},
};

#[tokio::test(start_paused = true)]
async fn the_replica_that_a_call_came_to_last_is_its_peer_whatever_becomes_of_it() {
    let (lines, _guard) = listen(Level::DEBUG);
    let net = Net::default();
    let replicas = Replicas::builder(Fixed::new(["a", "b"]).unwrap(), net.clone());
    let replicas = replicas.ejection(Ejection::never()).start();
    settle().await;
    let mut client = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(RetryLayer::new(RetryPolicy::new().attempts(2).budget(None)))
        .layer(LogLayer::new())
        .layer(TimeoutLayer::per_attempt(50 * MS))
        .layer(BalanceLayer::new(RoundRobin::default()))
        .service(replicas);
    let peers = || {
        let told = lines.take();
        let peers = told.lines().filter_map(|line| {
            let (_, peer) = line.split_once(" peer=")?;
            peer.split_once(" elapsed").map(|(peer, _)| peer.to_owned())
        });
        peers.collect::<Vec<_>>()
    };
    let mut call = Call::default();
    call.0.set_idempotent(true);
    peers();
    soon(client.call(call.clone())).await.unwrap();
    assert_eq!(peers(), ["a outcome=ok", "a outcome=ok"]);

    net.behave("b", Behaviour::Fail(Kind::Unavailable));
    soon(client.call(call.clone())).await.unwrap();
    let expected = ["b outcome=unavailable", "a outcome=ok", "a outcome=ok"];
    assert_eq!(peers(), expected);

    net.behave("a", Behaviour::Hang);
    net.behave("b", Behaviour::Hang);
    soon(client.call(call.clone())).await.unwrap_err();
    let expected = [
        "a outcome=deadline exceeded",
        "b outcome=deadline exceeded",
        "b outcome=deadline exceeded",
    ];
    assert_eq!(peers(), expected);

    let mut dropped = task::spawn(client.call(call));
    assert_pending!(dropped.poll());
    drop(dropped);
    assert_eq!(peers(), ["b outcome=dropped", "b outcome=dropped"]);
}
