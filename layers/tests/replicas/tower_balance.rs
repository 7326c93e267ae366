//! tower's own balancer over the replicas.

use std::future::poll_fn;

use futures_util::StreamExt;
use steeple_layers::{replicas::Replicas, resolve::Fixed};
use tokio::time::sleep;
use tower::{Service, balance::p2c::Balance, discover::Change, load::Load};

use crate::support::{Behaviour, Call, Listed, MS, Net, settle, soon};

#[tokio::test(start_paused = true)]
async fn towers_balancer_takes_the_replicas_as_they_come_and_go() {
    let net = Net::default();
    let listed = Listed::new(&["a", "b"]);
    let replicas = Replicas::new(listed.clone(), net.clone());
    settle().await;
    let mut balance = Balance::new(replicas.changes());
    let mut call = async || {
        soon(poll_fn(|cx| balance.poll_ready(cx))).await.unwrap();
        soon(balance.call(Call::default())).await.unwrap()
    };
    for _ in 0..50 {
        call().await;
    }
    assert_eq!(net.calls("a") + net.calls("b"), 50);
    assert!(net.calls("a") > 0 && net.calls("b") > 0);
    listed.set(&["c"]);
    sleep(30 * MS).await;
    assert_eq!(call().await, "c");
    net.stop("c");
    net.start("c");
    sleep(30 * MS).await;
    assert_eq!(call().await, "c");
}

#[tokio::test(start_paused = true)]
async fn the_changes_of_a_set_are_those_of_its_replicas() {
    let net = Net::default();
    let listed = Listed::new(&["a"]);
    let mut changes = Replicas::new(listed.clone(), net.clone()).changes();
    let mut next = async || match changes.next().await.unwrap().unwrap() {
        Change::Insert(key, replica) => format!("+{key} {}", replica.member().address()),
        Change::Remove(key) => format!("-{key}"),
    };
    assert_eq!(soon(next()).await, "+a a");
    listed.set(&["b"]);
    assert_eq!(soon(next()).await, "-a");
    assert_eq!(soon(next()).await, "+b b");
    net.stop("b");
    assert_eq!(soon(next()).await, "-b");
}

#[tokio::test(start_paused = true)]
async fn the_load_of_a_replica_is_its_pending_calls() {
    let net = Net::default();
    net.behave("a", Behaviour::Hang);
    let replicas = Replicas::new(Fixed::one("a"), net);
    settle().await;
    let mut replica = replicas.get("a").unwrap();
    let calls = (replica.call(Call::default()), replica.call(Call::default()));
    assert_eq!(replica.load(), 2.0);
    drop(calls);
    assert_eq!(replica.load(), 0.0);
}
