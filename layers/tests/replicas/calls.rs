//! Calls with and without a live replica.

use std::{error::Error as _, time::Duration};

use steeple_layers::{
    Execution, Kind, RetryLayer, RetryPolicy,
    balance::{BalanceLayer, Choice, Random, pick_fn},
    replicas::{Ejection, Replicas},
    resolve::Fixed,
};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

use crate::support::{
    Behaviour, Call, Client, Fake, Listed, MS, Net, answer, call, client, client_by, settle, soon,
};

fn down(name: &str) -> Net {
    let net = Net::default();
    net.stop(name);
    net
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_first_live_replica() {
    let net = down("a");
    let mut client = client(&Replicas::new(Fixed::one("a"), net.clone()));
    let mut waiting = task::spawn(client.call(Call::default()));
    assert_pending!(waiting.poll());
    settle().await;
    assert_pending!(waiting.poll());
    net.start("a");
    assert_eq!(soon(waiting).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_live_replica_fails_at_its_deadline_and_says_why() {
    let mut client = client(&Replicas::new(Fixed::one("a"), down("a")));
    let begun = Instant::now();
    let error = call(&mut client, Call::within(100 * MS)).await.unwrap_err();
    assert_eq!(begun.elapsed().as_millis(), 100);
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(error.execution(), Execution::NotSent);
    assert!(error.is_timeout());
    assert_eq!(error.source().unwrap().to_string(), "a is down");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_does_not_wait() {
    let replicas = Replicas::new(Fixed::one("a"), down("a"));
    settle().await;
    let mut call_now = Call::default();
    call_now.0.set_fail_fast(true);
    let mut one = client(&replicas);
    let mut all: Client = BalanceLayer::default().fail_fast(true).layer(replicas);
    for error in [
        call(&mut one, call_now).await.unwrap_err(),
        call(&mut all, Call::default()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(!error.is_timeout());
        assert_eq!(error.source().unwrap().to_string(), "a is down");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_the_picker_lasts_until_the_next_snapshot() {
    let net = Net::default();
    let listed = Listed::new(&["a"]);
    let replicas = Replicas::new(listed.clone(), net.clone());
    replicas.ready().await.unwrap();
    let two = pick_fn(|members, _| match members.len() {
        1 => Choice::Wait,
        _ => Choice::Member(1),
    });
    let mut client = client_by(&replicas, two);
    let mut waiting = task::spawn(client.call(Call::default()));
    assert_pending!(waiting.poll());
    listed.set(&["a", "b"]);
    assert_eq!(soon(waiting).await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_picker_that_waits_for_room_is_asked_again_though_no_replica_comes_or_goes() {
    let net = Net::default();
    net.behave("a", Behaviour::AnswerAfter(50 * MS));
    let replicas = Replicas::new(Fixed::one("a"), net.clone());
    replicas.ready().await.unwrap();
    let one_at_a_time = pick_fn(|members, _| match members[0].pending() {
        0 => Choice::Member(0),
        _ => Choice::Wait,
    });
    let mut first = client_by(&replicas, one_at_a_time);
    let mut second = first.clone();
    let mut hasty = first.clone();
    let running = tokio::spawn(first.call(Call::default()));
    let waiting = tokio::spawn(second.call(Call::default()));
    let error = call(&mut hasty, Call::within(10 * MS)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no replica was chosen within the deadline"
    );
    running.await.unwrap().unwrap();
    let freed = Instant::now();
    waiting.await.unwrap().unwrap();
    // What was left of its pause, and the call.
    assert!(freed.elapsed() < 100 * MS, "{:?}", freed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_picker_may_not_choose_is_an_error_that_says_so() {
    let replicas = Replicas::new(Fixed::one("a"), Net::default());
    replicas.ready().await.unwrap();
    let mut wrong = client_by(&replicas, pick_fn(|_, _| Choice::Member(7)));
    let error = call(&mut wrong, Call::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(error.to_string(), "the picker chose place 7 of 1 members");

    let refusal = || steeple_layers::Error::new(Kind::PermissionDenied, "not you");
    let mut strict = client_by(&replicas, pick_fn(move |_, _| Choice::Fail(refusal())));
    let error = call(&mut strict, Call::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn after_close_calls_fail_those_under_way_too_and_all_tasks_end() {
    let net = Net::default();
    net.behave("a", Behaviour::Hang);
    let listed = Listed::new(&["a", "b"]);
    let replicas = Replicas::new(listed.clone(), net.clone());
    replicas.ready().await.unwrap();
    settle().await;
    let mut client = client_by(&replicas, pick_fn(|_, _| Choice::Member(0)));
    let under_way = task::spawn(client.call(Call::default()));
    let mut nowhere = client_by(&replicas, pick_fn(|_, _| Choice::Wait));
    let waiting = task::spawn(nowhere.call(Call::default()));

    soon(replicas.close()).await;
    assert_eq!((net.open("a"), net.open("b"), listed.watchers()), (0, 0, 0));
    assert_eq!(under_way.await.unwrap_err().kind(), Kind::Connection);
    assert_eq!(waiting.await.unwrap_err().kind(), Kind::Closed);
    let error = call(&mut client, Call::default()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Closed, Execution::NotSent)
    );
    soon(replicas.close()).await;
}

#[tokio::test(start_paused = true)]
async fn with_the_last_clone_the_tasks_end_and_calls_under_way_still_do() {
    let net = Net::default();
    net.behave("a", Behaviour::AnswerAfter(50 * MS));
    let listed = Listed::new(&["a"]);
    let replicas = Replicas::new(listed.clone(), net.clone());
    replicas.ready().await.unwrap();
    let mut client = client(&replicas);
    let under_way = client.call(Call::default());
    drop((replicas, client));
    settle().await;
    assert_eq!(listed.watchers(), 0);
    assert_eq!(net.open("a"), 1);
    assert_eq!(under_way.await.unwrap(), "a");
    settle().await;
    assert_eq!(net.open("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn one_given_replica_can_be_called() {
    let replicas = Replicas::new(Fixed::new(["a", "b"]).unwrap(), Net::default());
    settle().await;
    let replica = replicas.get("b").unwrap();
    assert_eq!(replica.member().address(), "b");
    assert_eq!(replica.oneshot(Call::default()).await.unwrap(), "b");
    assert!(replicas.get("c").is_none());
    assert_eq!(replicas.replicas().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_layer_lies_over_each_replica_and_a_call_waits_for_it() {
    let net = Net::default();
    net.behave("a", Behaviour::AnswerAfter(10 * MS));
    let replicas = Replicas::builder(Fixed::one("a"), net.clone())
        .layer(ConcurrencyLimitLayer::new(1))
        .start();
    replicas.ready().await.unwrap();
    let mut client = BalanceLayer::default().layer(replicas);
    let mut first = task::spawn(client.call(Call::default()));
    let mut second = task::spawn(client.call(Call::default()));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_eq!(net.calls("a"), 1);
    soon(first).await.unwrap();
    soon(second).await.unwrap();
    // Nobody holds a permit that nobody uses.
    soon(client.clone().call(Call::default())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_set_that_gave_up_fails_its_calls_at_once() {
    let net = down("a");
    let replicas: Replicas<Fake> = Replicas::builder(Fixed::one("a"), net.clone())
        .dial_limit(3)
        .start();
    let mut client = client(&replicas);
    let error = soon(call(&mut client, Call::default())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(net.dials("a"), 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(net.dials("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_clone_sees_who_came_and_who_went() {
    let listed = Listed::new(&["a"]);
    let replicas = Replicas::new(listed.clone(), Net::default());
    let mut one = client(&replicas);
    let mut other = one.clone();
    assert_eq!(
        (answer(&mut one).await, answer(&mut other).await),
        ("a".into(), "a".into())
    );
    listed.set(&["b"]);
    settle().await;
    assert_eq!(
        (answer(&mut one).await, answer(&mut other).await),
        ("b".into(), "b".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_tried_again_goes_to_another_replica() {
    fastrand::seed(1);
    let net = Net::default();
    for name in ["a", "b", "c"] {
        net.behave(name, Behaviour::Fail(Kind::Unavailable));
    }
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let replicas: Replicas<Fake> = Replicas::builder(Fixed::new(names).unwrap(), net.clone())
        .ejection(Ejection::never())
        .start();
    settle().await;
    let mut client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::until_deadline().budget(None)))
        .layer(BalanceLayer::new(Random::default()))
        .service(replicas);
    for _ in 0..200 {
        let failed = || ["a", "b", "c"].map(|name| net.calls(name));
        let before = failed();
        let mut call = Call::within(Duration::from_secs(60));
        call.0.set_idempotent(true);
        client.call(call).await.unwrap();
        for (before, after) in before.into_iter().zip(failed()) {
            assert!(after - before <= 1);
        }
    }
}
