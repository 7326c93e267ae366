//! What a set does with the answers of its resolver.

use std::{
    error::Error as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use steeple_layers::{
    BoxError, Kind,
    replicas::{Replicas, State},
    resolve::{Fixed, Resolution, Resolver, Target, Version},
};
use tokio::time::{Instant, sleep};

use crate::support::{Call, Listed, MS, Net, answer, are, call, client, settle, soon, states};

type Answer = Result<Resolution<&'static str>, BoxError>;

/// Answers what a function says, and counts.
struct Scripted {
    constant: bool,
    asked: Arc<Mutex<Vec<Instant>>>,
    script: fn(usize) -> Answer,
}

impl Resolver<&'static str> for Scripted {
    fn is_constant(&self) -> bool {
        self.constant
    }

    async fn resolve(&self, _: Option<&Version>) -> Answer {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(Instant::now());
            asked.len() - 1
        };
        (self.script)(number)
    }
}

fn scripted(constant: bool, script: fn(usize) -> Answer) -> (Scripted, Arc<Mutex<Vec<Instant>>>) {
    let asked = Arc::default();
    let resolver = Scripted {
        constant,
        asked: Arc::clone(&asked),
        script,
    };
    (resolver, asked)
}

fn one() -> Vec<Target<&'static str>> {
    vec!["a".into()]
}

#[test]
fn a_constant_empty_set_is_refused_when_it_is_made() {
    let error = Fixed::<&str>::new([] as [&str; 0]).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn a_constant_resolver_that_finds_nothing_or_gives_a_version_fails_all_calls() {
    for (script, kind) in [
        (
            (|_| Ok(Resolution::constant(vec![]))) as fn(usize) -> Answer,
            Kind::Unreachable,
        ),
        (|_| Ok(Resolution::versioned(one(), 1)), Kind::Invalid),
    ] {
        let replicas = Replicas::new(scripted(true, script).0, Net::default());
        assert_eq!(soon(replicas.ready()).await.unwrap_err().kind(), kind);
        let error = soon(call(&mut client(&replicas), Call::default())).await;
        assert_eq!(error.unwrap_err().kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_without_a_version_is_an_error_and_a_later_one_is_passed_over() {
    let (resolver, _) = scripted(false, |_| Ok(Resolution::constant(one())));
    let replicas = Replicas::new(resolver, Net::default());
    let error = soon(replicas.ready()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);

    let (resolver, _) = scripted(false, |number| {
        Ok(match number {
            0 => Resolution::versioned(one(), 1),
            1 => Resolution::constant(vec![]),
            _ => Resolution::versioned(vec!["b".into()], 2),
        })
    });
    let replicas = Replicas::new(resolver, Net::default());
    soon(replicas.ready()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    are(&replicas, &[("b", State::Live)]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_is_ready_and_its_calls_wait_until_there_are_endpoints() {
    let listed = Listed::new(&[]);
    let replicas = Replicas::new(listed.clone(), Net::default());
    soon(replicas.ready()).await.unwrap();
    let mut client = client(&replicas);
    let error = call(&mut client, Call::within(50 * MS)).await.unwrap_err();
    assert!(error.kind() == Kind::Unreachable && error.is_timeout());
    listed.set(&["a"]);
    assert_eq!(answer(&mut client).await, "a");
    listed.set(&[]);
    settle().await;
    let error = call(&mut client, Call::within(50 * MS)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_fails_is_asked_again_ever_more_slowly() {
    let (resolver, asked) = scripted(false, |number| match number {
        0..20 => Err("no answer".into()),
        _ => Ok(Resolution::versioned(one(), number as u64)),
    });
    let replicas = Replicas::new(resolver, Net::default());
    let error = soon(replicas.ready()).await.unwrap_err();
    assert_eq!(
        error.source().unwrap().to_string(),
        "the endpoints could not be resolved"
    );
    sleep(Duration::from_secs(5)).await;
    let asked_early = asked.lock().unwrap().len();
    assert!((8..20).contains(&asked_early), "{asked_early}");
    sleep(Duration::from_secs(60)).await;
    are(&replicas, &[("a", State::Live)]);
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_the_waits_for_a_resolver_begin_anew() {
    let (resolver, asked) = scripted(false, |number| match number {
        15 => Ok(Resolution::versioned(one(), 1)),
        _ => Err("no answer".into()),
    });
    let _replicas = Replicas::new(resolver, Net::default());
    sleep(Duration::from_secs(60)).await;
    let asked = asked.lock().unwrap();
    let wait = |number: usize| asked[number] - asked[number - 1];
    let (longest, anew) = (wait(15), wait(17));
    assert!(
        longest >= 500 * MS && anew <= 15 * MS,
        "{longest:?}, then {anew:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_answers_the_same_version_is_not_asked_in_a_hot_loop() {
    let (resolver, asked) = scripted(false, |_| Ok(Resolution::versioned(one(), 1)));
    let _replicas = Replicas::new(resolver, Net::default());
    sleep(Duration::from_secs(10)).await;
    let asked = asked.lock().unwrap().len();
    assert!((10..40).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn what_stays_listed_keeps_its_connection_and_takes_new_attributes() {
    let net = Net::default();
    let listed = Listed::new(&["a", "b"]);
    let replicas = Replicas::new(listed.clone(), net.clone());
    settle().await;
    listed.set_targets(vec![
        Target::new("b").with_weight(3).with_zone("z"),
        "c".into(),
    ]);
    settle().await;
    assert_eq!((net.dials("b"), net.dials("c"), net.open("a")), (1, 1, 0));
    let member = replicas.get("b").unwrap().member().clone();
    assert_eq!((member.weight(), member.zone()), (3, Some("z")));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_listed_twice_has_the_weight_of_both() {
    let net = Net::default();
    let replicas = Replicas::new(Fixed::new(["a", "b", "a"]).unwrap(), net.clone());
    settle().await;
    assert_eq!(states(&replicas).len(), 2);
    assert_eq!(replicas.get("a").unwrap().member().weight(), 2);
    assert_eq!(net.dials("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_set_says_why_it_is_not_ready() {
    let net = Net::default();
    net.stop("a");
    net.stop("b");
    let replicas = Replicas::new(Fixed::new(["a", "b"]).unwrap(), net.clone());
    let error = soon(replicas.ready()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    let cause = error.source().unwrap().to_string();
    assert!(["a is down", "b is down"].contains(&&*cause), "{cause}");
    net.start("b");
    assert_eq!(answer(&mut client(&replicas)).await, "b");
    soon(replicas.ready()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panics_leaves_the_set_as_it_is_and_is_asked_again() {
    let (resolver, _) = scripted(false, |number| match number {
        1 => Ok(Resolution::versioned(one(), 1)),
        20 => Ok(Resolution::versioned(vec!["b".into()], 2)),
        _ => panic!("on purpose"),
    });
    let replicas = Replicas::new(resolver, Net::default());
    let error = soon(replicas.ready()).await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "the resolver panicked");
    settle().await;
    sleep(Duration::from_secs(5)).await;
    let why = replicas.unresolved().unwrap();
    assert_eq!(why.to_string(), "the resolver panicked");
    assert_eq!(answer(&mut client(&replicas)).await, "a");
    sleep(Duration::from_secs(60)).await;
    are(&replicas, &[("b", State::Live)]);
    assert_eq!(answer(&mut client(&replicas)).await, "b");
}

#[tokio::test(start_paused = true)]
async fn why_a_resolver_did_not_answer_can_be_read_until_it_does() {
    let (resolver, _) = scripted(false, |number| match number {
        0 | 4 => Ok(Resolution::versioned(one(), 1)),
        1..4 => Err("no answer".into()),
        _ => Ok(Resolution::versioned(one(), 1)),
    });
    let replicas = Replicas::new(resolver, Net::default());
    soon(replicas.ready()).await.unwrap();
    assert!(replicas.unresolved().is_none());
    settle().await;
    let why = replicas.unresolved().unwrap();
    assert_eq!(why.source().unwrap().to_string(), "no answer");
    sleep(Duration::from_secs(5)).await;
    assert!(replicas.unresolved().is_none());
    are(&replicas, &[("a", State::Live)]);
}

#[tokio::test(start_paused = true)]
async fn a_set_whose_task_panics_fails_its_calls_and_says_why() {
    struct Broken;

    impl Resolver<&'static str> for Broken {
        fn is_constant(&self) -> bool {
            panic!("on purpose")
        }

        async fn resolve(&self, _: Option<&Version>) -> Answer {
            Ok(Resolution::versioned(one(), 1))
        }
    }

    let replicas = Replicas::new(Broken, Net::default());
    let error = soon(call(&mut client(&replicas), Call::default())).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(error.message(), "the task of the replica set panicked");
    assert_eq!(
        soon(replicas.ready()).await.unwrap_err().kind(),
        Kind::Internal
    );
}
