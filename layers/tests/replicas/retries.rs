//! Retries over replicas: where they go, and how many there are.

use std::future::poll_fn;

use steeple_layers::{
    BalanceLayer, Kind, RetryLayer, RetryPolicy,
    balance::{PeakEwma, Pick, RoundRobin},
    replicas::{Ejection, Replicas},
    resolve::Fixed,
    retry::Budget,
};
use tower::{Layer, Service, ServiceBuilder};

use crate::support::{Behaviour, Call, Fake, Net, settle, soon};

/// So many replicas that fail every call, and are called all the same.
async fn failing(net: &Net, count: usize) -> (Vec<&'static str>, Replicas<Fake>) {
    let names = ["a", "b", "c", "d", "e", "f"][..count].to_vec();
    for name in &names {
        net.behave(name, Behaviour::Fail(Kind::Unavailable));
    }
    let resolver = Fixed::new(names.clone()).unwrap();
    let replicas = Replicas::builder(resolver, net.clone());
    let replicas = replicas.ejection(Ejection::never()).start();
    settle().await;
    assert_eq!(replicas.replicas().len(), count);
    (names, replicas)
}

fn idempotent() -> Call {
    let mut call = Call::default();
    call.0.set_idempotent(true);
    call
}

#[tokio::test(start_paused = true)]
async fn where_every_call_fails_the_extra_load_is_the_budget_to_the_call() {
    let net = Net::default();
    let (names, replicas) = failing(&net, 3).await;
    let policy = RetryPolicy::new().budget(Budget::new(20, 0));
    let mut client = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .layer(BalanceLayer::default())
        .service(replicas);
    for calls in 1..=200 {
        poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
        soon(client.call(idempotent())).await.unwrap_err();
        let seen: usize = names.iter().map(|name| net.calls(name)).sum();
        assert_eq!(seen, calls + calls / 5, "of {calls} calls");
    }
}

async fn no_attempt_meets_a_replica_again(pick: impl Pick, count: usize) {
    let net = Net::default();
    let (names, replicas) = failing(&net, count).await;
    let policy = RetryPolicy::new().attempts(3).budget(None);
    let balance = BalanceLayer::new(pick).layer(replicas);
    let mut client = RetryLayer::new(policy).layer(balance);
    let seen = || -> Vec<usize> { names.iter().map(|name| net.calls(name)).collect() };
    for _ in 0..300 {
        let before = seen();
        soon(client.call(idempotent())).await.unwrap_err();
        let now = seen();
        let met: Vec<_> = now
            .iter()
            .zip(before)
            .map(|(now, before)| now - before)
            .collect();
        assert_eq!(met.iter().sum::<usize>(), 3);
        assert!(met.iter().all(|times| *times <= 1), "{met:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_call_meet_no_replica_twice() {
    // The better of two looks at two for each attempt.
    no_attempt_meets_a_replica_again(PeakEwma::default(), 6).await;
    no_attempt_meets_a_replica_again(RoundRobin::default(), 3).await;
}
