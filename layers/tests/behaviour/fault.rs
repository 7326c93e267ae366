use steeple_layers::{
    Error, Execution, FaultLayer, Kind, PolicyLayer,
    explain::{Explanation, Opaque},
    policies::{MethodPolicies, MethodPolicy},
};
use tokio::time::{Instant, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::support::{Call, Script, seconds};

fn on_purpose() -> Error {
    Error::new(Kind::Unavailable, "on purpose").with_execution(Execution::NotStarted)
}

/// Which of 200 calls fail.
async fn failures(layer: FaultLayer) -> Vec<bool> {
    let mut client = layer.layer(Script::default());
    let mut failed = Vec::new();
    for _ in 0..200 {
        failed.push(client.call(Call::new("Get")).await.is_err());
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn faults_follow_from_the_seed_and_come_about_as_often_as_told() {
    let layer = |seed| FaultLayer::new(seed).fail(0.25, on_purpose);
    let first = failures(layer(1)).await;
    assert_eq!(failures(layer(1)).await, first);
    assert_ne!(failures(layer(2)).await, first);
    let count = first.iter().filter(|&&failed| failed).count();
    assert!((30..70).contains(&count), "{count}");
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_is_added_leaves_the_others_where_they_were() {
    let layer = || FaultLayer::new(1).fail(0.25, on_purpose);
    let delayed = layer().delay(0.5, seconds(1));
    assert_eq!(failures(delayed).await, failures(layer()).await);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_not_made_and_one_that_loses_its_answer_is() {
    let script = Script::default();
    let failing = FaultLayer::new(1)
        .fail(1.0, on_purpose)
        .layer(script.clone());
    let error = failing.oneshot(Call::new("Get")).await.unwrap_err();
    assert_eq!(error.message(), "on purpose");
    assert_eq!(script.attempts(), 0);

    let losing = FaultLayer::new(1).lose_answer(1.0).layer(script.clone());
    let error = losing.oneshot(Call::new("Get")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection);
    assert_eq!(error.execution(), Execution::MaybeExecuted);
    assert_eq!(script.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_call_is_not_made_and_never_ends() {
    let script = Script::default();
    let client = FaultLayer::new(1).lose_call(1.0).layer(script.clone());
    let call = client.oneshot(Call::new("Get"));
    timeout(seconds(1000), call).await.unwrap_err();
    assert_eq!(script.attempts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_is_made_later() {
    let start = Instant::now();
    let client = FaultLayer::new(1)
        .delay(1.0, seconds(3))
        .layer(Script::default());
    client.oneshot(Call::new("Get")).await.unwrap();
    assert_eq!(start.elapsed(), seconds(3));
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_is_made_again_and_any_other_once() {
    let script = Script::default();
    let mut client = FaultLayer::new(1).repeat(2).layer(script.clone());
    assert_eq!(client.call(Call::new("Put")).await.unwrap(), 1);
    let last = client.call(Call::new("Get").idempotent()).await.unwrap();
    assert_eq!(last, 4, "the answer is that of the third time");
    assert_eq!(script.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_idempotent_by_its_method_is_made_again_whoever_says_so() {
    let script = Script::default();
    let faults = FaultLayer::new(1).repeat(1).idempotent(["Get"]);
    let mut client = faults.layer(script.clone());
    client.call(Call::new("Put")).await.unwrap();
    client.call(Call::new("Get")).await.unwrap();
    assert_eq!(script.attempts(), 3);

    let script = Script::default();
    let policy = MethodPolicy::new().idempotent(true);
    let policies = MethodPolicies::new([("Get", policy)]).unwrap();
    let mut client = ServiceBuilder::new()
        .layer(PolicyLayer::new(policies))
        .layer(FaultLayer::new(1).repeat(1))
        .service(script.clone());
    client.call(Call::new("Put")).await.unwrap();
    client.call(Call::new("Get")).await.unwrap();
    assert_eq!(script.attempts(), 3);
}

#[test]
fn what_goes_wrong_is_explained() {
    let faults = FaultLayer::new(1)
        .fail(0.25, on_purpose)
        .disconnect(0.5, || {})
        .repeat(2)
        .idempotent(["Get"]);
    let told = Explanation::of(&faults.layer(Opaque::new(Script::default()))).to_string();
    for part in [
        "25 % failed",
        "50 % disconnected",
        "repeated 2 times",
        "idempotent: Get",
    ] {
        assert!(told.contains(part), "{told}");
    }
}
