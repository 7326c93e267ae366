//! Who is called first: the own zone, and the first tier.

use std::time::Duration;

use steeple_layers::{
    Context, RetryLayer,
    balance::{ConsistentHash, LeastOfTwo, PeakEwma, Pick, Random, RoundRobin},
    replicas::{Builder, HealthCheck, Replicas},
    resolve::{Fixed, Target},
};
use tokio::time::sleep;
use tower::{Layer, Service};

use crate::support::{Behaviour, Call, Fake, MS, Net, answer, client, client_by, settle};

const SECOND: Duration = Duration::from_secs(1);

type Made = Builder<Fixed<&'static str>, Net>;

fn set<const N: usize>(net: &Net, targets: [Target<&'static str>; N]) -> Made {
    Replicas::builder(Fixed::new(targets).unwrap(), net.clone())
}

fn near(name: &'static str) -> Target<&'static str> {
    Target::new(name).with_zone("near")
}

fn tier(name: &'static str, priority: u32) -> Target<&'static str> {
    Target::new(name).with_priority(priority)
}

/// The replicas that calls may go to.
fn called(replicas: &Replicas<Fake>) -> Vec<String> {
    let replicas = replicas.replicas();
    let addresses = replicas.iter().map(|one| one.member().address().to_owned());
    addresses.collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_first_tier_that_is_live_is_called() {
    let net = Net::default();
    let spare = Target::new("spare").with_priority(1);
    let replicas = Replicas::new(Fixed::new([Target::new("a"), spare]).unwrap(), net.clone());
    settle().await;
    let mut client = client(&replicas);
    for _ in 0..20 {
        assert_eq!(answer(&mut client).await, "a");
    }
    net.stop("a");
    sleep(MS).await;
    assert_eq!(answer(&mut client).await, "spare");
    net.start("a");
    sleep(SECOND).await;
    assert_eq!(answer(&mut client).await, "a");
}

#[tokio::test(start_paused = true)]
async fn the_own_zone_is_called_while_half_of_it_is_live() {
    let net = Net::default();
    let far = Target::new("far").with_zone("far");
    let names = Fixed::new([near("a"), near("b"), near("c"), far]).unwrap();
    let replicas = Replicas::builder(names, net.clone()).zone("near").start();
    settle().await;
    assert_eq!(replicas.replicas().len(), 3);
    net.stop("a");
    sleep(MS).await;
    assert_eq!(replicas.replicas().len(), 2);
    net.stop("b");
    sleep(MS).await;
    assert_eq!(called(&replicas), ["c", "far"]);
}

#[tokio::test(start_paused = true)]
async fn how_much_of_the_own_zone_is_enough_can_be_said() {
    for (share, spills_after) in [(0.0, 3), (0.25, 3), (0.34, 2), (0.8, 1), (1.0, 1)] {
        let net = Net::default();
        let replicas = set(&net, [near("a"), near("b"), near("c"), Target::new("far")]);
        let replicas = replicas.zone("near").zone_share(share).start();
        settle().await;
        for (stopped, name) in ["a", "b", "c"].into_iter().enumerate() {
            let spills = called(&replicas).contains(&"far".to_owned());
            assert_eq!(spills, stopped >= spills_after, "{share} without {stopped}");
            net.stop(name);
            sleep(MS).await;
        }
        assert_eq!(called(&replicas), ["far"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_of_which_too_few_are_there_has_the_next_one_called_as_well() {
    let net = Net::default();
    let targets = [
        tier("a", 0),
        tier("b", 0),
        tier("c", 0),
        tier("d", 1),
        tier("e", 2),
    ];
    let replicas = set(&net, targets).tier_share(0.6).start();
    settle().await;
    assert_eq!(called(&replicas), ["a", "b", "c"]);
    net.stop("a");
    sleep(MS).await;
    assert_eq!(called(&replicas), ["b", "c"]);
    net.stop("b");
    sleep(MS).await;
    assert_eq!(called(&replicas), ["c", "d"]);
    net.stop("d");
    sleep(MS).await;
    assert_eq!(called(&replicas), ["c", "e"]);
    net.start("a");
    net.start("b");
    sleep(2 * SECOND).await;
    assert_eq!(called(&replicas), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_of_the_own_zone_in_a_tier_that_is_not_called_is_not_missed() {
    let net = Net::default();
    let spare = |name| near(name).with_priority(1);
    let targets = [near("a"), Target::new("far"), spare("b"), spare("c")];
    let replicas = set(&net, targets).zone("near").start();
    settle().await;
    assert_eq!(called(&replicas), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_replica_is_missing_in_its_zone_and_in_its_tier() {
    let net = Net::default();
    let check = || {
        HealthCheck::by(async |fake: Fake| match fake.name() {
            "a" => Err("no"),
            _ => Ok(()),
        })
    };
    let replicas = set(&net, [near("a"), Target::new("far")]).zone("near");
    let replicas = replicas.health_check(check()).start();
    settle().await;
    assert_eq!(called(&replicas), ["far"]);
    let replicas = set(&net, [tier("a", 0), tier("b", 1)]).health_check(check());
    let replicas = replicas.start();
    settle().await;
    assert_eq!(called(&replicas), ["b"]);
}

/// Which servers the attempts of a call go to, in order.
async fn tried(net: &Net, replicas: &Replicas<Fake>, pick: impl Pick) -> Vec<&'static str> {
    let names = ["a", "b", "c", "d", "far"];
    let counts = || names.map(|name| net.calls(name));
    let mut client = client_by(replicas, pick);
    let mut call = Call(Context::new("Get"));
    call.0
        .set_seed(fastrand::u32(1..))
        .set_shard_key(fastrand::u64(..));
    let mut tried = Vec::new();
    for attempt in 0..4 {
        call.0.set_attempt(attempt);
        let before = counts();
        client.call(call.clone()).await.unwrap();
        let after = counts();
        let at = (0..names.len()).find(|at| after[*at] > before[*at]);
        tried.push(names[at.unwrap()]);
    }
    tried
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_call_go_to_different_replicas_of_the_zone_and_the_tier() {
    fastrand::seed(7);
    let net = Net::default();
    let targets = [
        near("a"),
        near("b"),
        near("c"),
        near("d"),
        Target::new("far"),
        near("e").with_priority(1),
    ];
    let replicas = set(&net, targets).zone("near").start();
    settle().await;
    let all = ["a", "b", "c", "d"];
    for _ in 0..50 {
        for mut order in [
            tried(&net, &replicas, Random::default()).await,
            tried(&net, &replicas, RoundRobin::default()).await,
            tried(&net, &replicas, ConsistentHash::new()).await,
        ] {
            order.sort_unstable();
            assert_eq!(order, all);
        }
        // Of two pairs, the better of each.
        for order in [
            tried(&net, &replicas, PeakEwma::default()).await,
            tried(&net, &replicas, LeastOfTwo::default()).await,
        ] {
            assert_ne!(order[0], order[1]);
            assert!(!order.contains(&"far"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_finds_its_zone_gone_goes_to_the_other() {
    let net = Net::default();
    let replicas = set(&net, [near("a"), Target::new("far")])
        .zone("near")
        .start();
    settle().await;
    net.behave("a", Behaviour::AnswerAfter(SECOND));
    let mut client = RetryLayer::default().layer(client(&replicas));
    let mut call = Call::default();
    call.0.set_idempotent(true);
    let answer = tokio::spawn(client.call(call));
    sleep(100 * MS).await;
    net.stop("a");
    assert_eq!(answer.await.unwrap().unwrap(), "far");
}
