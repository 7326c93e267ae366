//! Retries over replicas: where they go, and how many there are.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use steeple_layers::{
    BalanceLayer, Kind, RetryLayer, RetryPolicy,
    balance::{PeakEwma, Pick, RoundRobin},
    replicas::{Ejection, Replicas},
    resolve::Fixed,
    retry::Budget,
};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceBuilder};

use crate::support::{Behaviour, Call, Fake, MS, Net, settle, soon};

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

#[tokio::test(start_paused = true)]
async fn clones_that_call_at_once_stay_within_their_one_budget_to_the_call() {
    const CLONES: usize = 6;
    const CALLS: usize = 50;
    let net = Net::default();
    let names = ["a", "b", "c"];
    for name in names {
        net.behave(name, Behaviour::AnswerAfter(MS));
    }
    net.behave("a", Behaviour::Fail(Kind::Unavailable));
    let replicas = Replicas::builder(Fixed::new(names).unwrap(), net.clone());
    let replicas = replicas.ejection(Ejection::never()).start();
    settle().await;
    let budget = Budget::new(20, 0);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new().budget(budget.clone())))
        .layer(BalanceLayer::new(RoundRobin::default()))
        .service(replicas);

    let seen = move |net: &Net| -> usize { names.iter().map(|name| net.calls(name)).sum() };
    let made = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..CLONES {
        let (mut client, net, made) = (client.clone(), net.clone(), made.clone());
        tasks.spawn(async move {
            let mut failed = 0;
            for _ in 0..CALLS {
                made.fetch_add(1, SeqCst);
                failed += usize::from(client.call(idempotent()).await.is_err());
                let made = made.load(SeqCst);
                assert!(seen(&net) <= made + made / 5, "{made} calls");
            }
            failed
        });
    }
    let failed: usize = soon(tasks.join_all()).await.iter().sum();
    drop(client);

    let extra = seen(&net) - CLONES * CALLS;
    let left = std::iter::repeat_with(|| budget.withdraw()).take_while(|paid| *paid);
    let left = left.count();
    assert_eq!(extra + left, CLONES * CALLS / 5, "paid and left");
    assert!(extra > CLONES * CALLS / 10, "{extra} retries");
    assert_eq!(
        net.calls("a"),
        extra + failed,
        "each failure was tried again or told"
    );
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
