//! The life of an endpoint.

use std::time::Duration;

use steeple_layers::{
    Kind,
    balance::{Choice, pick_fn},
    replicas::{Replicas, State},
    resolve::Fixed,
};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, task};
use tower::Service;

use crate::support::{
    Behaviour, Call, Fake, Listed, MS, Net, Status, answer, are, call, client, client_by, settle,
    soon,
};

#[tokio::test(start_paused = true)]
async fn every_endpoint_is_dialled_at_once_and_connected_once() {
    let net = Net::default();
    let replicas = Replicas::new(Fixed::new(["a", "b", "c"]).unwrap(), net.clone());
    replicas.ready().await.unwrap();
    settle().await;
    are(
        &replicas,
        &[("a", State::Live), ("b", State::Live), ("c", State::Live)],
    );
    for name in ["a", "b", "c"] {
        assert_eq!((net.dials(name), net.open(name)), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_without_a_handshake_is_never_called() {
    let net = Net::default();
    net.fall_silent("silent");
    net.stop("dead");
    let replicas = Replicas::new(Fixed::new(["silent", "dead", "good"]).unwrap(), net.clone());
    let mut client = client(&replicas);
    for _ in 0..100 {
        assert_eq!(answer(&mut client).await, "good");
    }
    assert_eq!(net.calls("silent"), 0);
    sleep(Duration::from_millis(10_005)).await;
    let status = &replicas.endpoints()[0];
    let reason = status.reason().unwrap().to_string();
    assert!(reason.contains("handshake_timeout of 10s"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_dialled_again_and_again_ever_more_slowly() {
    let net = Net::default();
    let replicas = Replicas::new(Fixed::one("a"), net.clone());
    replicas.ready().await.unwrap();
    sleep(Duration::from_secs(2)).await;
    net.stop("a");
    sleep(Duration::from_secs(1)).await;
    let early = net.dials("a");
    assert!((6..=12).contains(&early), "{early}");
    sleep(Duration::from_secs(60)).await;
    let (begun, dials) = (Instant::now(), net.dials("a"));
    sleep(Duration::from_secs(60)).await;
    let late = net.dials("a") - dials;
    assert!(
        (60..=120).contains(&late),
        "{late} in {:?}",
        begun.elapsed()
    );
    net.start("a");
    sleep(Duration::from_secs(2)).await;
    are(&replicas, &[("a", State::Live)]);
    assert_eq!(net.open("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_connection_that_lasted_the_waits_between_dials_begin_anew() {
    let net = Net::default();
    let replicas = Replicas::new(Fixed::one("a"), net.clone());
    replicas.ready().await.unwrap();
    for _ in 0..2 {
        net.stop("a");
        let before = net.dials("a");
        sleep(Duration::from_millis(100)).await;
        let early = net.dials("a") - before;
        assert!((3..=8).contains(&early), "{early}");
        // By now the waits are long.
        sleep(Duration::from_secs(60)).await;
        net.start("a");
        sleep(Duration::from_secs(5)).await;
        are(&replicas, &[("a", State::Live)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_endpoint_ends_its_calls_and_is_then_let_go() {
    let net = Net::default();
    let listed = Listed::new(&["a", "b"]);
    let replicas = Replicas::new(listed.clone(), net.clone());
    settle().await;
    net.behave("a", Behaviour::AnswerAfter(100 * MS));
    let mut first = client_by(&replicas, pick_fn(|_, _| Choice::Member(0)));
    let under_way = first.call(Call::default());
    listed.set(&["b"]);
    settle().await;
    are(&replicas, &[("a", State::Draining), ("b", State::Live)]);
    assert_eq!(answer(&mut first).await, "b");
    assert_eq!(net.open("a"), 1);
    assert_eq!(under_way.await.unwrap(), "a");
    settle().await;
    are(&replicas, &[("b", State::Live)]);
    assert_eq!((net.open("a"), net.open("b"), net.dials("b")), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_removed_endpoint_without_calls_is_let_go_at_once_though_idle_clones_knew_it() {
    let net = Net::default();
    let listed = Listed::new(&["a"]);
    let replicas = Replicas::new(listed.clone(), net.clone());
    let mut idle = client(&replicas);
    answer(&mut idle).await;
    listed.set(&[]);
    settle().await;
    assert_eq!(net.open("a"), 0);
    assert!(replicas.endpoints().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_drains_and_is_listed_again_is_revived() {
    let net = Net::default();
    let listed = Listed::new(&["a"]);
    let replicas = Replicas::new(listed.clone(), net.clone());
    settle().await;
    net.behave("a", Behaviour::Hang);
    let mut client = client(&replicas);
    let _under_way = task::spawn(client.call(Call::default()));
    listed.set(&[]);
    settle().await;
    are(&replicas, &[("a", State::Draining)]);
    net.behave("a", Behaviour::Answer);
    listed.set(&["a"]);
    settle().await;
    are(&replicas, &[("a", State::Live)]);
    assert_eq!(answer(&mut client).await, "a");
    assert_eq!(net.dials("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn several_generations_of_draining_connections_are_all_closed() {
    let net = Net::default();
    net.behave("a", Behaviour::Hang);
    let replicas = Replicas::new(Fixed::one("a"), net.clone());
    settle().await;
    let mut client = client(&replicas);
    let mut calls = Vec::new();
    for generation in 1..=3 {
        calls.push(client.call(Call::default()));
        net.drain("a");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(net.open("a"), generation + 1);
    }
    soon(replicas.close()).await;
    assert_eq!(net.open("a"), 0);
    for call in calls {
        assert_eq!(soon(call).await.unwrap_err().kind(), Kind::Connection);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_drains_is_replaced() {
    let net = Net::default();
    let replicas = Replicas::new(Fixed::one("a"), net.clone());
    let mut client = client(&replicas);
    answer(&mut client).await;
    net.drain("a");
    sleep(MS).await;
    assert_eq!(answer(&mut client).await, "a");
    assert_eq!(net.dials("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_no_ping_is_replaced() {
    let net = Net::default();
    let replicas: Replicas<Fake> = Replicas::builder(Fixed::one("a"), net.clone())
        .ping(Duration::from_secs(1), Duration::from_secs(1))
        .start();
    settle().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(net.dials("a"), 1);
    net.mute("a", true);
    sleep(Duration::from_secs(3)).await;
    assert_eq!((net.dials("a"), net.open("a")), (2, 1));
    are(&replicas, &[("a", State::Live)]);
}

#[tokio::test(start_paused = true)]
async fn all_connections_of_an_endpoint_are_used() {
    let net = Net::default();
    let replicas = Replicas::builder(Fixed::one("a"), net.clone())
        .connections(3)
        .start();
    settle().await;
    assert_eq!((net.dials("a"), net.open("a")), (3, 3));
    net.behave("a", Behaviour::Hang);
    let mut client = client(&replicas);
    let mut calls: Vec<_> = (0..6)
        .map(|_| task::spawn(client.call(Call::default())))
        .collect();
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    let pending = |fake: &Fake| steeple_layers::Lifecycle::pending(fake);
    let counts: Vec<_> = net.connections("a").iter().map(pending).collect();
    assert_eq!(counts, [2, 2, 2]);

    net.connections("a")[0].reach(Status::Closed);
    sleep(MS).await;
    let status = &replicas.endpoints()[0];
    assert_eq!((status.state(), status.pending()), (State::Live, 6));
    settle().await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(net.open("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lazy_set_connects_for_the_first_call() {
    let net = Net::default();
    let replicas = Replicas::builder(Fixed::one("a"), net.clone())
        .lazy()
        .start();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(net.dials("a"), 0);
    are(&replicas, &[("a", State::Idle)]);
    assert_eq!(answer(&mut client(&replicas)).await, "a");
}

#[tokio::test(start_paused = true)]
async fn an_idle_set_lets_its_connections_go_until_the_next_call() {
    let net = Net::default();
    let replicas = Replicas::builder(Fixed::new(["a", "b"]).unwrap(), net.clone())
        .idle_timeout(Duration::from_secs(10))
        .start();
    let mut client = client(&replicas);
    for _ in 0..10 {
        answer(&mut client).await;
        sleep(Duration::from_secs(9)).await;
    }
    assert_eq!((net.dials("a"), net.dials("b")), (1, 1));
    sleep(Duration::from_secs(3)).await;
    are(&replicas, &[("a", State::Idle), ("b", State::Idle)]);
    assert_eq!((net.open("a"), net.open("b")), (0, 0));
    answer(&mut client).await;
    settle().await;
    are(&replicas, &[("a", State::Live), ("b", State::Live)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_keeps_a_set_from_being_idle() {
    let net = Net::default();
    net.behave("a", Behaviour::AnswerAfter(Duration::from_secs(60)));
    let replicas = Replicas::builder(Fixed::one("a"), net.clone())
        .idle_timeout(Duration::from_secs(10))
        .start();
    replicas.ready().await.unwrap();
    assert_eq!(
        soon(call(&mut client(&replicas), Call::default()))
            .await
            .unwrap(),
        "a"
    );
    assert_eq!(net.dials("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_keeps_a_set_from_being_idle() {
    let net = Net::default();
    net.stop("a");
    let replicas = Replicas::builder(Fixed::one("a"), net.clone())
        .lazy()
        .idle_timeout(Duration::from_secs(10))
        .start();
    sleep(Duration::from_secs(35)).await;
    let mut client = client(&replicas);
    let mut waiting = task::spawn(client.call(Call::default()));
    assert_pending!(waiting.poll());
    sleep(Duration::from_secs(60)).await;
    assert_pending!(waiting.poll());
    net.start("a");
    assert_eq!(soon(waiting).await.unwrap(), "a");
}
