//! What holds for each method, as the layers inside obey it.

use std::time::Duration;

use steeple_layers::{
    AdmissionLayer, Context, HedgeLayer, PolicyLayer, Priority, RetryLayer, RetryPolicy,
    TimeoutLayer,
    admission::Limit,
    policies::{MethodPolicies, MethodPolicy},
    retry::Policy,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::support::{Call, Script, Step, millis, reset, seconds};

fn layer<const N: usize>(policies: [(&'static str, MethodPolicy); N]) -> PolicyLayer {
    PolicyLayer::new(MethodPolicies::new(policies).unwrap())
}

/// The context of a call as it comes out of the layer.
async fn seen(layer: &PolicyLayer, call: Call) -> Context {
    let script = Script::default();
    layer.layer(script.clone()).call(call).await.unwrap();
    let seen = script.played().calls.pop();
    seen.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_timeout_layer_inside_keeps_the_deadline_of_the_method() {
    let policies = layer([
        ("Slow.*", MethodPolicy::new().deadline(seconds(60))),
        ("Fast", MethodPolicy::new().deadline(millis(100))),
    ]);
    let stack = ServiceBuilder::new()
        .layer(policies)
        .layer(TimeoutLayer::new(seconds(1)));
    for (method, limit) in [
        ("Slow.Get", seconds(60)),
        ("Fast", millis(100)),
        ("Else", seconds(1)),
    ] {
        let mut service = stack.service(Script::new([Step::Hang]));
        let begin = Instant::now();
        let error = service.call(Call::new(method)).await.unwrap_err();
        assert!(error.is_timeout());
        let took = begin.elapsed();
        assert!(took >= limit && took < limit + millis(10), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_choose_its_deadline_up_to_the_cap() {
    let policy = MethodPolicy::new().deadline(seconds(2)).cap(seconds(5));
    let policies = layer([("*", policy)]);
    let now = Instant::now();
    for (own, left) in [(None, 2), (Some(1), 1), (Some(4), 4), (Some(9), 5)] {
        let call = Call::new("Get");
        let call = match own {
            Some(own) => call.within(seconds(own)),
            None => call,
        };
        let cx = seen(&policies, call).await;
        assert_eq!(cx.deadline(), Some(now + seconds(left)));
    }
    let policies = layer([("*", MethodPolicy::new().cap(Duration::MAX))]);
    assert_eq!(seen(&policies, Call::new("Get")).await.deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn a_retry_layer_inside_has_the_attempts_and_the_idempotence_of_the_method() {
    let policies = layer([
        ("*", MethodPolicy::new().idempotent(true).attempts(5)),
        ("Add", MethodPolicy::new().idempotent(false)),
        ("Once", MethodPolicy::new().attempts(1)),
    ]);
    let stack = ServiceBuilder::new()
        .layer(policies)
        .layer(RetryLayer::default());
    for (method, attempts) in [("Get", 5), ("Add", 1), ("Once", 1)] {
        let script = Script::failing(9, reset);
        let call = Call::new(method).idempotent();
        stack.service(script.clone()).call(call).await.unwrap_err();
        assert_eq!(script.attempts(), attempts, "{method}");
    }
}

#[test]
fn attempts_that_are_said_of_a_method_hold_for_retries_until_the_deadline_too() {
    let mut cx = Context::new("Get");
    cx.set_timeout(seconds(60))
        .set_idempotent(true)
        .set_attempt(7);
    let policy = RetryPolicy::until_deadline();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    assert!(policy.retry(&cx, &reset()).is_some());
    cx.set_max_attempts(8);
    assert!(policy.retry(&cx, &reset()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_method_that_may_not_run_twice_is_not_repeated_whatever_the_layers_know_of_it() {
    let known = ["Add", "Get"];
    let retry = RetryLayer::new(RetryPolicy::new().idempotent(known));
    let hedge = HedgeLayer::after(millis(1)).idempotent(known);
    let policies = layer([("Add", MethodPolicy::new().idempotent(false))]);
    let once = |method| {
        let mut call = Call::new(method);
        call.cx.set_idempotent(false);
        call
    };
    for (call, attempts) in [
        (Call::new("Get"), 2),
        (Call::new("Add"), 1),
        (once("Get"), 1),
    ] {
        let script = Script::failing(1, reset);
        let retrying = ServiceBuilder::new().layer(&policies).layer(&retry);
        let _ends = retrying.service(script.clone()).oneshot(call.clone()).await;
        assert_eq!(script.attempts(), attempts, "{call:?}");

        let script = Script::new([Step::Late(seconds(1))]);
        let hedging = ServiceBuilder::new().layer(&policies).layer(&hedge);
        let service = hedging.service(script.clone());
        service.oneshot(call.clone()).await.unwrap();
        assert_eq!(script.attempts(), attempts, "{call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_layer_inside_waits_as_long_as_the_method_says() {
    let policies = layer([
        ("*", MethodPolicy::new().idempotent(true)),
        ("Fast", MethodPolicy::new().hedge_after(millis(5))),
        ("Never", MethodPolicy::new().no_hedge()),
    ]);
    let stack = ServiceBuilder::new()
        .layer(policies)
        .layer(HedgeLayer::after(millis(100)));
    for (method, after) in [
        ("Fast", millis(5)),
        ("Else", millis(100)),
        ("Never", seconds(9)),
    ] {
        let script = Script::new([Step::Late(seconds(9))]);
        let begin = Instant::now();
        let call = stack.service(script.clone()).call(Call::new(method));
        call.await.unwrap();
        let took = begin.elapsed();
        assert!(
            took >= after && took < after + millis(5),
            "{method}: {took:?}"
        );
        let attempts = if method == "Never" { 1 } else { 2 };
        assert_eq!(script.attempts(), attempts, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_method_are_those_of_retries_and_hedges_together() {
    for (most, numbers) in [
        (1, &[0][..]),
        (2, &[0, 1]),
        (3, &[0, 1, 2]),
        (4, &[0, 1, 2, 3]),
    ] {
        let policy = MethodPolicy::new().idempotent(true).attempts(most);
        let script = Script::new((0..9).map(|_| Step::Hang));
        let stack = ServiceBuilder::new()
            .layer(layer([("*", policy)]))
            .layer(RetryLayer::new(RetryPolicy::new().attempts(9)))
            .layer(HedgeLayer::after(millis(100)))
            .layer(TimeoutLayer::per_attempt(millis(150)))
            .service(script.clone());
        stack.oneshot(Call::new("Get")).await.unwrap_err();
        let played = script.played();
        let seen: Vec<_> = played.calls.iter().map(Context::attempt).collect();
        assert_eq!(seen, numbers, "of {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_admission_layer_inside_serves_the_methods_that_are_worth_more_first() {
    let policies = layer([
        ("Report", MethodPolicy::new().priority(Priority::Background)),
        ("Login", MethodPolicy::new().priority(Priority::Critical)),
    ]);
    let script = Script::new([Step::Late(millis(1))]);
    let stack = ServiceBuilder::new()
        .layer(policies)
        .layer(AdmissionLayer::new(Limit::fixed(1)))
        .service(script.clone());
    let calls = ["First", "Report", "Get", "Login"].map(|method| {
        // In this order, and all but the first have to wait.
        tokio::spawn(stack.clone().call(Call::new(method)))
    });
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let played = script.played();
    let served: Vec<_> = played.calls.iter().map(|cx| cx.method().as_str()).collect();
    assert_eq!(served, ["First", "Login", "Get", "Report"]);
}

#[tokio::test(start_paused = true)]
async fn what_other_layers_ask_stands_in_the_context() {
    let policies = layer([
        (
            "*",
            MethodPolicy::new()
                .hedge_after(millis(3))
                .priority(Priority::Background),
        ),
        ("Put", MethodPolicy::new().no_hedge().compression(false)),
    ]);
    let get = seen(&policies, Call::new("Get")).await;
    let put = seen(&policies, Call::new("Put")).await;
    assert_eq!(
        (get.priority(), put.priority()),
        (Priority::Background, Priority::Background)
    );
    assert_eq!(get.hedge_delay(), Some(millis(3)));
    assert_eq!(put.hedge_delay(), Some(Duration::MAX));
    assert_eq!((get.compression(), put.compression()), (None, Some(false)));
}

#[tokio::test(start_paused = true)]
async fn other_policies_hold_from_the_next_call_on_in_all_clones() {
    let policies = PolicyLayer::default();
    let script = Script::default();
    let mut one = policies.layer(script.clone());
    let mut other = one.clone();
    one.call(Call::new("Get")).await.unwrap();
    let policy = MethodPolicy::new().priority(Priority::Critical);
    policies
        .clone()
        .replace(MethodPolicies::new([("Get", policy)]).unwrap());
    one.call(Call::new("Get")).await.unwrap();
    other.call(Call::new("Get")).await.unwrap();
    let priorities: Vec<_> = script
        .played()
        .calls
        .iter()
        .map(Context::priority)
        .collect();
    assert_eq!(
        priorities,
        [Priority::Normal, Priority::Critical, Priority::Critical]
    );
    assert_eq!(policies.policies().len(), 1);
}
