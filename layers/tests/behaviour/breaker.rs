use std::time::Duration;

use steeple_layers::{
    Backoff, BreakerLayer, BreakerPolicy, Error, Execution, Kind, Origin, RetryLayer, TimeoutLayer,
    breaker::{Circuit, Circuits, State},
};
use tokio::time::{Instant, advance, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

use super::support::{Call, Script, Step, millis, refused, reset, seconds};

/// Opens after three failures in a row, for exactly 10, 20, 40 … s.
fn policy() -> BreakerPolicy {
    BreakerPolicy::new()
        .failures(3)
        .open_for(Backoff::new(seconds(10), seconds(60)).jitter(0.0))
}

/// A circuit, and a client under it.
fn client(policy: BreakerPolicy, script: &Script) -> (Circuit, impl Fn() -> Calling + use<>) {
    let circuit = Circuit::new(policy);
    let client = BreakerLayer::of(circuit.clone()).layer(script.clone());
    (circuit, move || {
        Box::pin(client.clone().oneshot(Call::new("Get")))
    })
}

type Calling = std::pin::Pin<Box<dyn Future<Output = Result<usize, Error>>>>;

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_calls_are_refused_without_being_made() {
    let script = Script::failing(3, reset);
    let (circuit, call) = client(policy(), &script);
    for text in [
        "closed, the last call failed",
        "closed, the last 2 calls failed",
    ] {
        call().await.unwrap_err();
        assert_eq!(circuit.state().to_string(), text);
    }
    call().await.unwrap_err();
    let text = "open for 10.0 s more: 3 failures in a row, the last: reset";
    assert_eq!(circuit.state().to_string(), text);

    advance(millis(6_800)).await;
    let error = call().await.unwrap_err();
    assert_eq!(script.attempts(), 3);
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(error.execution(), Execution::NotSent);
    assert_eq!(error.retry_after(), Some(millis(3_200)));
    assert_eq!(
        error.to_string(),
        "the circuit is open for 3.2 s more: 3 failures in a row, the last: reset"
    );
}

#[tokio::test(start_paused = true)]
async fn a_success_between_failures_begins_the_count_anew() {
    let fail = || Step::Fail(reset());
    let script = Script::new([fail(), fail(), Step::Answer, fail(), fail()]);
    let (circuit, call) = client(policy(), &script);
    for _ in 0..5 {
        let _answered_or_not = call().await;
    }
    assert_eq!(
        circuit.state().to_string(),
        "closed, the last 2 calls failed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_share_of_failures_opens_it_if_there_were_enough_calls() {
    let mixed =
        |n: usize| (0..n).map(|n| [Step::Answer, Step::Fail(reset())].into_iter().nth(n % 2));
    let policy = || policy().failures(None).ratio(0.5, 20);
    let script = Script::new(mixed(100).flatten());
    let (circuit, call) = client(policy(), &script);
    for _ in 0..19 {
        let _answered_or_not = call().await;
    }
    assert_eq!(circuit.state().to_string(), "closed");
    call().await.unwrap_err();
    let text = "open for 10.0 s more: 10 of 20 calls failed, the last: reset";
    assert_eq!(circuit.state().to_string(), text);

    // The same, but over a long time.
    let script = Script::new(mixed(100).flatten());
    let (circuit, call) = client(policy(), &script);
    for _ in 0..100 {
        let _answered_or_not = call().await;
        advance(seconds(1)).await;
    }
    assert!(matches!(circuit.state(), State::Closed { .. }));
}

#[tokio::test(start_paused = true)]
async fn only_what_speaks_against_the_server_counts() {
    let opens = async |error: fn() -> Error| {
        let (circuit, call) = client(policy(), &Script::failing(3, error));
        for _ in 0..3 {
            call().await.unwrap_err();
        }
        matches!(circuit.state(), State::Open { .. })
    };
    assert!(opens(reset).await);
    assert!(opens(refused).await);
    assert!(opens(|| Error::new(Kind::Timeout, "")).await);
    assert!(opens(|| Error::new(Kind::Unreachable, "")).await);
    assert!(opens(|| Error::new(Kind::Internal, "").with_origin(Origin::Remote)).await);
    assert!(!opens(|| Error::new(Kind::Internal, "")).await);
    assert!(!opens(|| Error::application(404, "no such user")).await);
    assert!(!opens(|| Error::new(Kind::Invalid, "")).await);
    assert!(!opens(|| Error::new(Kind::Closed, "")).await);
}

#[tokio::test(start_paused = true)]
async fn after_a_while_one_call_is_tried_and_its_success_closes_it() {
    let fails = (0..3).map(|_| Step::Fail(reset()));
    let script = Script::new(fails.chain([Step::Late(seconds(1))]));
    let (circuit, call) = client(policy(), &script);
    for _ in 0..3 {
        call().await.unwrap_err();
    }
    advance(seconds(10)).await;
    let text = "half open for the next call: 3 failures in a row, the last: reset";
    assert_eq!(circuit.state().to_string(), text);

    let probe = tokio::spawn({
        let mut client = BreakerLayer::of(circuit.clone()).layer(script.clone());
        async move { client.call(Call::new("Get")).await }
    });
    tokio::task::yield_now().await;
    let text = "half open while a call is tried: 3 failures in a row, the last: reset";
    assert_eq!(circuit.state().to_string(), text);
    let error = call().await.unwrap_err();
    assert_eq!(error.message(), format!("the circuit is {text}"));
    assert_eq!(script.attempts(), 4);

    probe.await.unwrap().unwrap();
    assert_eq!(circuit.state().to_string(), "closed");
    call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_stays_open_longer_each_time_that_the_call_to_try_it_fails() {
    let script = Script::failing(5, reset);
    let (circuit, call) = client(policy(), &script);
    for _ in 0..3 {
        call().await.unwrap_err();
    }
    advance(seconds(10)).await;
    call().await.unwrap_err();
    let text = "open for 20.0 s more: the call to try it failed: reset";
    assert_eq!(circuit.state().to_string(), text);
    advance(seconds(20)).await;
    call().await.unwrap_err();
    let text = "open for 40.0 s more: 2 calls to try it failed, the last: reset";
    assert_eq!(circuit.state().to_string(), text);
    advance(seconds(40)).await;
    call().await.unwrap();
    assert_eq!(circuit.state().to_string(), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_try_it_that_is_given_up_leaves_that_to_the_next() {
    let fails = (0..3).map(|_| Step::Fail(reset()));
    let script = Script::new(fails.chain([Step::Hang]));
    let (circuit, call) = client(policy(), &script);
    for _ in 0..3 {
        call().await.unwrap_err();
    }
    advance(seconds(10)).await;
    timeout(seconds(1), call()).await.unwrap_err();
    assert!(matches!(
        circuit.state(),
        State::HalfOpen {
            is_probing: false,
            ..
        }
    ));
    call().await.unwrap();
    assert_eq!(circuit.state().to_string(), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_circuit_is_opened_and_closed_by_hand() {
    let script = Script::default();
    let (circuit, call) = client(policy(), &script);
    circuit.trip("the disk is being replaced");
    advance(seconds(3600)).await;
    let error = call().await.unwrap_err();
    let text = "the circuit is open until it is reset: the disk is being replaced";
    assert_eq!((error.message(), error.retry_after()), (text, None));
    assert_eq!(script.attempts(), 0);
    circuit.reset();
    call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_from_before_it_was_opened_or_closed_do_not_count() {
    let late = || TimeoutLayer::per_attempt(seconds(1));
    let script = Script::new([Step::Hang, Step::Hang, Step::Hang]);
    let circuit = Circuit::new(policy());
    let client = BreakerLayer::of(circuit.clone()).layer(late().layer(script));
    let calls: Vec<_> = (0..3)
        .map(|_| tokio::spawn(client.clone().oneshot(Call::new("Get"))))
        .collect();
    tokio::task::yield_now().await;
    circuit.reset();
    for call in calls {
        assert!(call.await.unwrap().unwrap_err().is_timeout());
    }
    assert_eq!(circuit.state().to_string(), "closed");
}

#[tokio::test(start_paused = true)]
async fn each_service_has_a_circuit_of_its_own_unless_one_is_given() {
    let opened = async |layer: BreakerLayer| {
        let mut one = layer.layer(Script::failing(3, reset));
        for _ in 0..3 {
            one.call(Call::new("Get")).await.unwrap_err();
        }
        let other = layer.layer(Script::default());
        let clone_is_open = one.clone().oneshot(Call::new("Get")).await.is_err();
        (
            clone_is_open,
            other.oneshot(Call::new("Get")).await.is_err(),
        )
    };
    assert_eq!(opened(BreakerLayer::new(policy())).await, (true, false));
    let circuit = Circuit::new(policy());
    assert_eq!(opened(BreakerLayer::of(circuit)).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn each_method_is_watched_by_itself() {
    let circuits = Circuits::new(policy());
    let mut client = BreakerLayer::per_method(circuits.clone()).layer(Script::failing(3, reset));
    for _ in 0..3 {
        client.call(Call::new("Make")).await.unwrap_err();
    }
    let error = client.call(Call::new("Make")).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("the circuit of Make is open for"),
        "{error}"
    );
    client.call(Call::new("Get")).await.unwrap();
    let names: Vec<_> = circuits.all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Get", "Make"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_does_not_hold_what_it_was_ready_with() {
    let circuit = Circuit::new(policy());
    let limited = ConcurrencyLimitLayer::new(1).layer(Script::default());
    let mut refused = BreakerLayer::of(circuit.clone()).layer(limited.clone());
    circuit.trip("by hand");
    refused.ready().await.unwrap();
    refused.call(Call::new("Get")).await.unwrap_err();
    limited.oneshot(Call::new("Get")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_tried_elsewhere_at_once_and_for_free() {
    let circuit = Circuit::new(policy());
    let broken = BreakerLayer::of(circuit.clone()).layer(Script::default());
    circuit.trip("by hand");
    // Attempts go to either in turn.
    let mut endpoints = [Some(broken), None].into_iter().cycle();
    let turn = tower::service_fn(move |call: Call| {
        let endpoint = endpoints.next().flatten();
        async move {
            match endpoint {
                Some(broken) => broken.oneshot(call).await,
                None => Ok(7),
            }
        }
    });
    let shared = tower::buffer::Buffer::new(turn, 1);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .map_err(Error::from)
        .service(shared);
    let start = Instant::now();
    assert_eq!(client.oneshot(Call::new("Put")).await.unwrap(), 7);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
