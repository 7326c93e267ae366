//! No new calls, and the end of those under way.

use steeple_layers::{DrainLayer, Execution, Kind};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer};

use super::support::{Call, Script, Step, seconds};

#[tokio::test(start_paused = true)]
async fn a_drain_refuses_calls_and_ends_with_those_that_had_begun() {
    let script = Script::new([Step::Late(seconds(1)), Step::Late(seconds(2))]);
    let drain = DrainLayer::new();
    let mut one = drain.layer(script.clone());
    let mut other = drain.layer(script.clone());
    let first = tokio::spawn(one.call(Call::new("Get")));
    let second = tokio::spawn(other.call(Call::new("Get")));
    assert_eq!((drain.running(), drain.is_draining()), (2, false));

    let mut drained = task::spawn(drain.drain());
    assert_pending!(drained.poll());
    let error = one.ready().await.unwrap().call(Call::new("Get")).await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unavailable, Execution::NotStarted)
    );
    assert_eq!(script.attempts(), 2);

    first.await.unwrap().unwrap();
    assert_pending!(drained.poll());
    second.await.unwrap().unwrap();
    assert!(drained.is_woken());
    assert_ready!(drained.poll());
    drain.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_has_ended_and_one_that_is_answered_too() {
    let drain = DrainLayer::new();
    let mut service = drain.layer(Script::new([Step::Answer, Step::Hang]));
    let mut answered = task::spawn(service.call(Call::new("Get")));
    assert_ready!(answered.poll()).unwrap();
    let dropped = service.call(Call::new("Get"));
    assert_eq!(drain.running(), 1);
    let mut drained = task::spawn(drain.drain());
    assert_pending!(drained.poll());
    drop(dropped);
    assert_ready!(drained.poll());
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_does_not_hold_what_it_was_ready_with() {
    let drain = DrainLayer::new();
    let limited = ConcurrencyLimitLayer::new(1).layer(Script::default());
    let mut refused = drain.layer(limited.clone());
    refused.ready().await.unwrap();
    drain.drain().await;
    refused.call(Call::new("Get")).await.unwrap_err();
    limited.oneshot(Call::new("Get")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_drain_is_told_when_somebody_else_begins_it() {
    let drain = DrainLayer::new();
    let mut drained = task::spawn(drain.drained());
    assert_pending!(drained.poll());
    // It is begun whether or not its future is polled.
    drop(drain.drain());
    assert!(drained.is_woken());
    assert_ready!(drained.poll());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_refuses_while_it_drains() {
    #[derive(Clone)]
    struct Busy;

    impl Service<Call> for Busy {
        type Response = ();
        type Error = steeple_layers::Error;
        type Future = std::future::Pending<Result<(), steeple_layers::Error>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), steeple_layers::Error>> {
            std::task::Poll::Pending
        }

        fn call(&mut self, _: Call) -> Self::Future {
            unreachable!("it is never ready")
        }
    }

    let drain = DrainLayer::new();
    drop(drain.drain());
    let error = drain.layer(Busy).oneshot(Call::new("Get")).await;
    assert_eq!(error.unwrap_err().kind(), Kind::Unavailable);
}
