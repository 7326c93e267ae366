//! Weights and slow start: what share of the calls each replica has, by the picker.

use std::{sync::Arc, time::Duration};

use steeple_layers::{
    balance::{
        ConsistentHash, LeastOfTwo, LeastPending, PeakEwma, Pick, Random, RoundRobin,
        WeightedRoundRobin,
    },
    replicas::Replicas,
    resolve::{Fixed, Target},
};
use tokio::time::sleep;
use tower::Service;

use crate::support::{Behaviour, Call, Client, Listed, MS, Net, client_by, settle};

const SECOND: Duration = Duration::from_secs(1);

type Picker = Arc<dyn Pick>;

/// Those that go by shares.
fn sharing() -> [(&'static str, Picker); 5] {
    [
        ("PeakEwma", Arc::new(PeakEwma::default())),
        ("LeastOfTwo", Arc::new(LeastOfTwo::default())),
        ("LeastPending", Arc::new(LeastPending::default())),
        (
            "WeightedRoundRobin",
            Arc::new(WeightedRoundRobin::default()),
        ),
        ("ConsistentHash", Arc::new(ConsistentHash::default())),
    ]
}

/// Those that do not.
fn blind() -> [(&'static str, Picker); 2] {
    [
        ("Random", Arc::new(Random::default())),
        ("RoundRobin", Arc::new(RoundRobin::default())),
    ]
}

/// `a` and `b`, which take a millisecond for a call.
fn net() -> Net {
    let net = Net::default();
    for name in ["a", "b"] {
        net.behave(name, Behaviour::AnswerAfter(MS));
    }
    net
}

fn with_key() -> Call {
    let mut call = Call::default();
    call.0.set_shard_key(fastrand::u64(..));
    call
}

/// What part of so many calls goes to `b`, of a caller that makes one after the other.
async fn part(net: &Net, client: &mut Client<Picker>, calls: usize) -> f64 {
    let before = net.calls("b");
    for _ in 0..calls {
        client.call(with_key()).await.unwrap();
    }
    (net.calls("b") - before) as f64 / calls as f64
}

/// A client of `a` and of `b`, whose weight is three times as much.
async fn weighted(net: &Net, pick: Picker) -> Client<Picker> {
    let targets = [
        Target::new("a").with_weight(2),
        Target::new("b").with_weight(6),
    ];
    let replicas = Replicas::new(Fixed::new(targets).unwrap(), net.clone());
    settle().await;
    client_by(&replicas, pick)
}

#[tokio::test(start_paused = true)]
async fn a_single_caller_meets_replicas_by_their_weights() {
    fastrand::seed(1);
    for (name, pick) in sharing() {
        let net = net();
        let part = part(&net, &mut weighted(&net, pick).await, 1000).await;
        assert!((0.65..0.85).contains(&part), "{name}: {part}");
    }
    for (name, pick) in blind() {
        let net = net();
        let part = part(&net, &mut weighted(&net, pick).await, 1000).await;
        assert!((0.45..0.55).contains(&part), "{name}: {part}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_at_the_same_time_are_shared_by_weight_too() {
    fastrand::seed(1);
    for (name, pick) in sharing() {
        let net = net();
        let mut client = weighted(&net, pick).await;
        let _calls: Vec<_> = (0..200).map(|_| client.call(with_key())).collect();
        let heavy = net.calls("b");
        assert!((130..170).contains(&heavy), "{name}: {heavy} of 200");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_replica_is_passed_over_wherever_it_is_compared_whatever_its_weight() {
    fastrand::seed(1);
    let net = net();
    net.behave("b", Behaviour::AnswerAfter(100 * MS));
    let mut client = weighted(&net, Arc::new(PeakEwma::default())).await;
    let part = part(&net, &mut client, 1000).await;
    // It was drawn twice: three quarters of three quarters.
    assert!((0.5..0.62).contains(&part), "{part}");
}

/// What part of the calls goes to a replica that comes to another: at once, after half of its slow start, and after it.
async fn growth(pick: Picker) -> [f64; 3] {
    let net = net();
    let listed = Listed::new(&["a"]);
    let replicas = Replicas::builder(listed.clone(), net.clone());
    let replicas = replicas.slow_start(100 * SECOND).start();
    settle().await;
    let mut client = client_by(&replicas, pick);
    sleep(200 * SECOND).await;
    listed.set(&["a", "b"]);
    settle().await;
    let mut growth = [0.0; 3];
    for part_now in &mut growth {
        *part_now = part(&net, &mut client, 1000).await;
        sleep(50 * SECOND).await;
    }
    growth
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_comes_grows_in_its_slow_start() {
    fastrand::seed(1);
    for (name, pick) in sharing() {
        let [cold, lukewarm, warm] = growth(pick).await;
        let grows = cold < 0.22 && (0.27..0.43).contains(&lukewarm) && (0.45..0.55).contains(&warm);
        assert!(grows, "{name}: {cold}, {lukewarm}, {warm}");
    }
    for (name, pick) in blind() {
        let [cold, ..] = growth(pick).await;
        assert!((0.45..0.55).contains(&cold), "{name}: {cold}");
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_that_come_together_share_evenly_from_the_first_call_on() {
    fastrand::seed(1);
    for (name, pick) in sharing() {
        let net = net();
        let replicas = Replicas::builder(Fixed::new(["a", "b"]).unwrap(), net.clone());
        let replicas = replicas.slow_start(100 * SECOND).start();
        settle().await;
        let part = part(&net, &mut client_by(&replicas, pick), 1000).await;
        assert!((0.45..0.55).contains(&part), "{name}: {part}");
    }
}
