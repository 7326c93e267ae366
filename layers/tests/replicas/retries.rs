//! Retries over replicas: where they go, and how many there are.

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use steeple_layers::{
    BalanceLayer, HedgeLayer, Kind, RetryLayer, RetryPolicy, TimeoutLayer,
    balance::{
        ConsistentHash, LeastOfTwo, LeastPending, PeakEwma, Pick, Random, RoundRobin,
        WeightedRoundRobin,
    },
    replicas::{Builder, Ejection, Replicas},
    resolve::{Fixed, Target},
    retry::Budget,
};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceBuilder};

use crate::support::{Behaviour, Call, Fake, Listed, MS, Net, settle, soon};

/// Replicas of these weights that fail every call, and are called all the same.
fn failing(net: &Net, weights: &[u32]) -> (Vec<&'static str>, Builder<Fixed<&'static str>, Net>) {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"][..weights.len()].to_vec();
    for name in &names {
        net.behave(name, Behaviour::Fail(Kind::Unavailable));
    }
    let targets = names.iter().zip(weights);
    let targets = targets.map(|(name, weight)| Target::new(*name).with_weight(*weight));
    let replicas = Replicas::builder(Fixed::new(targets).unwrap(), net.clone());
    (names, replicas.ejection(Ejection::never()))
}

async fn started(replicas: Builder<Fixed<&'static str>, Net>) -> Replicas<Fake> {
    let replicas = replicas.start();
    settle().await;
    replicas
}

fn idempotent() -> Call {
    let mut call = Call::default();
    call.0.set_idempotent(true);
    call
}

#[tokio::test(start_paused = true)]
async fn where_every_call_fails_the_extra_load_is_the_budget_to_the_call() {
    let net = Net::default();
    let (names, replicas) = failing(&net, &[1; 3]);
    let replicas = started(replicas).await;
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

/// Each picker of ours.
fn picks() -> [Arc<dyn Pick>; 7] {
    [
        Arc::new(PeakEwma::default()),
        Arc::new(LeastOfTwo::default()),
        Arc::new(LeastPending::default()),
        Arc::new(Random::default()),
        Arc::new(RoundRobin::default()),
        Arc::new(WeightedRoundRobin::default()),
        Arc::new(ConsistentHash::default()),
    ]
}

/// How often each replica was called meanwhile.
async fn met(net: &Net, names: &[&'static str], call: impl Future) -> Vec<usize> {
    let seen = || -> Vec<usize> { names.iter().map(|name| net.calls(name)).collect() };
    let before = seen();
    soon(call).await;
    let now = seen();
    now.iter()
        .zip(before)
        .map(|(now, before)| now - before)
        .collect()
}

/// Two to eight replicas under changing loads: as many attempts as there are replicas, each at another.
async fn each_replica_is_met_once(
    pick: Arc<dyn Pick>,
    weights: &[u32],
    slow_start: Duration,
    loads: &[Vec<usize>],
) {
    let (net, count) = (Net::default(), weights.len());
    let (names, replicas) = failing(&net, weights);
    let replicas = started(replicas.slow_start(slow_start)).await;
    assert_eq!(replicas.replicas().len(), count);
    let attempts = u32::try_from(count).unwrap();
    let policy = RetryPolicy::new().attempts(attempts).budget(None);
    let balance = BalanceLayer::new(pick).layer(replicas.clone());
    let mut retrying = RetryLayer::new(policy).layer(balance.clone());
    let hedge = HedgeLayer::after(MS)
        .hedges(attempts - 1)
        .budget(Budget::new(1000, 1000));
    let mut hedging = hedge.layer(balance);
    for (load, key) in loads.iter().zip(0..) {
        let mut call = idempotent();
        call.0.set_shard_key(key);
        // Calls that are under way for as long as they are not polled.
        let mut replicas = replicas.replicas();
        let busy = load
            .iter()
            .map(|place| replicas[place % count].call(Call::default()));
        let _busy: Vec<_> = busy.collect();

        let failing = met(&net, &names, async { retrying.call(call.clone()).await }).await;
        assert_eq!(failing, vec![1; count], "retried");

        for name in &names {
            net.behave(name, Behaviour::AnswerAfter(1000 * MS));
        }
        let slow = met(&net, &names, async { hedging.call(call).await }).await;
        assert_eq!(slow, vec![1; count], "hedged");
        for name in &names {
            net.behave(name, Behaviour::Fail(Kind::Unavailable));
        }
    }
}

proptest! {
    #[test]
    fn the_attempts_of_a_call_meet_no_replica_twice_while_there_is_another(
        pick in 0..7_usize,
        weights in prop_oneof![(2..=8_usize).prop_map(|count| vec![1_u32; count]), vec(1..5_u32, 2..=8)],
        slow_start in prop_oneof![Just(0), Just(1), Just(1000)],
        loads in vec(vec(0..8_usize, 0..12), 1..8),
        seed in any::<u64>(),
    ) {
        fastrand::seed(seed);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let slow_start = Duration::from_secs(slow_start);
        runtime.block_on(each_replica_is_met_once(picks()[pick].clone(), &weights, slow_start, &loads));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_timed_out_or_found_no_replica_at_first_counts_as_tried_too() {
    let net = Net::default();
    for name in ["a", "b"] {
        net.behave(name, Behaviour::Hang);
    }
    let listed = Listed::new(&[]);
    let replicas = Replicas::builder(listed.clone(), net.clone());
    let replicas = replicas.ejection(Ejection::never()).start();
    let policy = RetryPolicy::new().attempts(2).budget(None);
    let mut client = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .layer(TimeoutLayer::per_attempt(50 * MS))
        .layer(BalanceLayer::new(LeastOfTwo::default()))
        .service(replicas);
    for _ in 0..50 {
        listed.set(&[]);
        settle().await;
        let call = client.call(idempotent());
        listed.set(&["a", "b"]);
        assert_eq!(met(&net, &["a", "b"], call).await, [1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_could_only_meet_a_replica_again_does_not_begin_and_is_not_paid_for() {
    let near = |name| Target::new(name).with_zone("near");
    let spare = |name| Target::new(name).with_priority(1);
    for (targets, hedges) in [
        (vec![Target::new("a")], 0),
        (vec![near("a"), Target::new("far")], 0),
        (vec![near("a"), near("b"), Target::new("far")], 1),
        (vec![Target::new("a"), spare("b")], 0),
        (["a", "b", "c"].map(Target::new).to_vec(), 2),
    ] {
        let net = Net::default();
        let names = ["a", "b", "c", "far"];
        for name in names {
            net.behave(name, Behaviour::AnswerAfter(1000 * MS));
        }
        let replicas = Replicas::builder(Fixed::new(targets).unwrap(), net.clone());
        let replicas = replicas.zone("near").start();
        settle().await;
        // Ten for the one call.
        let budget = Budget::new(1000, 0);
        let mut client = ServiceBuilder::new()
            .layer(HedgeLayer::after(MS).hedges(8).budget(budget.clone()))
            .layer(BalanceLayer::default())
            .service(replicas);
        let met = met(&net, &names, async { client.call(idempotent()).await }).await;
        assert!(met.iter().all(|times| *times < 2), "{met:?}");
        assert_eq!(met.iter().sum::<usize>(), 1 + hedges, "{met:?}");
        drop(client);
        let left = std::iter::repeat_with(|| budget.withdraw()).take_while(|paid| *paid);
        assert_eq!(left.count(), 10 - hedges);
    }
}
