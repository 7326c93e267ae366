//! What each picker chooses.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use steeple_layers::{
    Context,
    balance::{
        Balancer, Choice, ConsistentHash, LeastOfTwo, LeastPending, PeakEwma, Pick, Random,
        RoundRobin, Stateful, WeightedRoundRobin, pick_fn,
    },
    replicas::{Member, Replicas},
    resolve::{Fixed, Target},
};
use tower::Service;

use crate::support::{Behaviour, Call, Listed, MS, Net, answer, client_by, settle};

fn members(count: usize) -> Vec<Member> {
    (0..count)
        .map(|number| Member::new(format!("server-{number}")))
        .collect()
}

fn cx(seed: u32, attempt: u32, key: Option<u64>) -> Context {
    let mut cx = Context::new("Echo");
    cx.set_seed(seed).set_attempt(attempt).set_shard_key(key);
    cx
}

fn place(pick: &dyn Pick, members: &[Member], cx: &Context) -> usize {
    match pick.pick(members, cx) {
        Choice::Member(place) => place,
        other => panic!("{other:?}"),
    }
}

/// How many calls each replica of weight 1, 2, 3… answered.
async fn spread<P: Pick>(pick: P, calls: usize) -> Vec<usize> {
    let net = Net::default();
    let names = ["a", "b", "c"].into_iter().zip(1..);
    let targets = names
        .clone()
        .map(|(name, weight)| Target::new(name).with_weight(weight));
    let replicas = Replicas::new(Fixed::new(targets).unwrap(), net.clone());
    settle().await;
    let mut client = client_by(&replicas, pick);
    for _ in 0..calls {
        answer(&mut client).await;
    }
    names.map(|(name, _)| net.calls(name)).collect()
}

#[tokio::test(start_paused = true)]
async fn round_robin_spreads_calls_evenly() {
    assert_eq!(spread(RoundRobin::default(), 99).await, [33, 33, 33]);
}

#[tokio::test(start_paused = true)]
async fn weighted_round_robin_spreads_calls_by_weight_over_any_stretch() {
    let counts = spread(WeightedRoundRobin::default(), 60).await;
    for (count, share) in counts.iter().zip([10_usize, 20, 30]) {
        assert!(count.abs_diff(share) <= 1, "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn chance_spreads_calls_too() {
    fastrand::seed(1);
    let counts = spread(Random::default(), 900).await;
    assert!(
        counts.iter().all(|count| (240..360).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn no_attempt_meets_a_replica_that_the_call_has_tried() {
    const CALLS: u64 = 10_000;
    let members = members(7);
    let repeats = |pick: &dyn Pick| {
        let mut repeats = 0;
        for seed in 1..=CALLS as u32 {
            let mut tried = Vec::new();
            for attempt in 0..3 {
                let place = place(pick, &members, &cx(seed, attempt, Some(seed.into())));
                repeats += usize::from(tried.contains(&place));
                tried.push(place);
            }
        }
        repeats
    };
    assert_eq!(repeats(&PeakEwma::default()), 0);
    assert_eq!(repeats(&LeastOfTwo::default()), 0);
    assert_eq!(repeats(&Random::default()), 0);
    assert_eq!(repeats(&RoundRobin::default()), 0);
    assert_eq!(repeats(&WeightedRoundRobin::default()), 0);
    assert_eq!(repeats(&ConsistentHash::default()), 0);
}

/// The place of each of a thousand keys.
fn homes(members: &[Member]) -> Vec<String> {
    let pick = ConsistentHash::new();
    let home = |key| place(&pick, members, &cx(1, 0, Some(key)));
    (0..1000)
        .map(|key| members[home(key)].address().to_owned())
        .collect()
}

#[test]
fn a_key_stays_where_it_is_unless_its_replica_goes_or_a_new_one_takes_it() {
    let ten = members(10);
    let before = homes(&ten);
    let mut nine = ten.clone();
    let gone = nine.remove(4).address().to_owned();
    for (before, after) in before.iter().zip(homes(&nine)) {
        assert!(*before == after || *before == gone, "{before} {after}");
    }
    let mut eleven = ten;
    eleven.insert(2, Member::new("new"));
    let mut moved = 0;
    for (before, after) in before.iter().zip(homes(&eleven)) {
        assert!(*before == after || after == "new", "{before} {after}");
        moved += usize::from(*before != after);
    }
    assert!((50..150).contains(&moved), "{moved}");
}

#[test]
fn keys_are_spread_evenly() {
    let mut counts = BTreeMap::new();
    for home in homes(&members(10)) {
        *counts.entry(home).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 10);
    assert!(
        counts.values().all(|count| (60..150).contains(count)),
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_spills_over_to_the_next_replica_and_no_further_than_it_must() {
    let net = Net::default();
    for name in ["a", "b", "c", "d"] {
        net.behave(name, Behaviour::AnswerAfter(10 * MS));
    }
    let replicas = Replicas::new(Fixed::new(["a", "b", "c", "d"]).unwrap(), net.clone());
    settle().await;
    let mut client = client_by(&replicas, ConsistentHash::new());
    let mut hot = Call::default();
    hot.0.set_shard_key(7);
    let calls: Vec<_> = (0..100).map(|_| client.call(hot.clone())).collect();
    for call in calls {
        call.await.unwrap();
    }
    let mut counts: Vec<_> = ["a", "b", "c", "d"].map(|name| net.calls(name)).into();
    counts.sort_unstable();
    assert!(counts[3] <= 32, "{counts:?}");
    let mut alone = Vec::new();
    for _ in 0..20 {
        alone.push(client.call(hot.clone()).await.unwrap());
    }
    alone.dedup();
    assert_eq!(alone.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_with_a_key_go_to_others_although_its_home_is_full() {
    let net = Net::default();
    let names = ["a", "b", "c", "d"];
    for name in names {
        net.behave(name, Behaviour::AnswerAfter(10 * MS));
    }
    let replicas = Replicas::new(Fixed::new(names).unwrap(), net.clone());
    settle().await;
    let mut client = client_by(&replicas, ConsistentHash::new().load_bound(1.0));
    let mut hot = Call::default();
    hot.0.set_shard_key(7);
    let fills = client.call(hot);
    let member = |name| replicas.get(name).unwrap().member().clone();
    let members = names.map(member);
    let home = members.iter().position(|it| it.pending() > 0).unwrap();
    let pick = ConsistentHash::new().load_bound(1.0);
    let mut tried = vec![home];
    for attempt in 0..3 {
        let place = place(&pick, &members, &cx(1, attempt, Some(7)));
        assert!(!tried.contains(&place), "{tried:?}, {place}");
        tried.push(place);
    }
    drop(fills);
}

#[tokio::test(start_paused = true)]
async fn the_fewest_pending_calls_win() {
    let net = Net::default();
    for name in ["a", "b", "c"] {
        net.behave(name, Behaviour::AnswerAfter(10 * MS));
    }
    let replicas = Replicas::new(Fixed::new(["a", "b", "c"]).unwrap(), net.clone());
    settle().await;
    let mut client = client_by(&replicas, LeastPending::default());
    let calls: Vec<_> = (0..30).map(|_| client.call(Call::default())).collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(["a", "b", "c"].map(|name| net.calls(name)), [10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_replica_gets_few_calls() {
    fastrand::seed(1);
    let net = Net::default();
    for name in ["a", "b"] {
        net.behave(name, Behaviour::AnswerAfter(MS));
    }
    net.behave("slow", Behaviour::AnswerAfter(100 * MS));
    let replicas = Replicas::new(Fixed::new(["a", "b", "slow"]).unwrap(), net.clone());
    settle().await;
    let mut client = client_by(&replicas, PeakEwma::default());
    for _ in 0..1000 {
        answer(&mut client).await;
    }
    assert!(net.calls("slow") < 20, "{}", net.calls("slow"));
}

/// Picks the newest member, and notes what it was told.
#[derive(Default)]
struct Newest {
    members: Vec<Member>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Balancer for Newest {
    fn add(&mut self, member: &Member) {
        self.told
            .lock()
            .unwrap()
            .push(format!("+{}", member.address()));
        self.members.push(member.clone());
    }

    fn remove(&mut self, member: &Member) {
        self.told
            .lock()
            .unwrap()
            .push(format!("-{}", member.address()));
        self.members.retain(|known| known != member);
    }

    fn pick(&mut self, _: &Context) -> Option<Member> {
        self.members.last().cloned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_balancer_with_a_state_is_told_who_comes_and_goes() {
    let listed = Listed::new(&["a", "b"]);
    let replicas = Replicas::new(listed.clone(), Net::default());
    settle().await;
    let newest = Newest::default();
    let told = newest.told.clone();
    let mut client = client_by(&replicas, Stateful::new(newest));
    assert_eq!(answer(&mut client).await, "b");
    listed.set(&["c", "b"]);
    settle().await;
    assert_eq!(answer(&mut client.clone()).await, "c");
    assert_eq!(*told.lock().unwrap(), ["+a", "+b", "-a", "+c"]);
}

#[tokio::test(start_paused = true)]
async fn a_function_can_be_the_balancer() {
    let replicas = Replicas::new(Fixed::new(["a", "b"]).unwrap(), Net::default());
    settle().await;
    let named = pick_fn(|members, cx| {
        let key = cx.shard_key().unwrap_or_default() as usize;
        Choice::Member(key % members.len())
    });
    let mut client = client_by(&replicas, named);
    for (key, name) in [(0, "a"), (1, "b"), (2, "a")] {
        let mut call = Call::default();
        call.0.set_shard_key(key);
        assert_eq!(client.call(call).await.unwrap(), name);
    }
}
