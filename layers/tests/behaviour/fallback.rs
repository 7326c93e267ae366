use steeple_layers::{Error, Execution, FallbackLayer, Kind, RetryLayer, TimeoutLayer};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

use super::support::{Call, Script, Step, refused, reset, seconds, unsent};

/// What is left of this error under a layer that answers with 99.
async fn left(error: fn() -> Error) -> Option<Kind> {
    let layer = FallbackLayer::with(|_, _| Some(99));
    let answer = layer
        .layer(Script::failing(1, error))
        .oneshot(Call::new("Get"));
    match answer.await {
        Ok(answer) => {
            assert_eq!(answer, 99);
            None
        }
        Err(error) => Some(error.kind()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_answered_for_and_an_answer_stands() {
    assert_eq!(left(reset).await, None);
    assert_eq!(left(refused).await, None);
    assert_eq!(left(|| Error::new(Kind::Unreachable, "")).await, None);
    assert_eq!(left(|| Error::new(Kind::Timeout, "")).await, None);
    assert_eq!(left(|| Error::new(Kind::Overflow, "")).await, None);
    let application = left(|| Error::application(404, "no such user")).await;
    assert_eq!(application, Some(Kind::Application));
    let defect = left(|| Error::new(Kind::Internal, "")).await;
    assert_eq!(defect, Some(Kind::Internal));

    let layer = FallbackLayer::with(|_, _| Some(99));
    assert_eq!(
        layer
            .layer(Script::default())
            .oneshot(Call::new("Get"))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn which_errors_are_answered_can_be_said() {
    let layer = FallbackLayer::with(|_, _| Some(99)).when(|error| error.kind() == Kind::Internal);
    let internal = Script::failing(1, || Error::new(Kind::Internal, ""));
    assert_eq!(
        layer
            .layer(internal)
            .oneshot(Call::new("Get"))
            .await
            .unwrap(),
        99
    );
    let lost = layer
        .layer(Script::failing(1, reset))
        .oneshot(Call::new("Get"));
    assert_eq!(lost.await.unwrap_err().kind(), Kind::Connection);
}

#[tokio::test(start_paused = true)]
async fn a_function_sees_the_call_and_the_error_and_may_let_it_stand() {
    let layer = FallbackLayer::with(|cx, error| {
        assert_eq!(error.message(), "reset");
        (cx.method() == "Get").then_some(99)
    });
    let call = |method| {
        layer
            .layer(Script::failing(1, reset))
            .oneshot(Call::new(method))
    };
    assert_eq!(call("Get").await.unwrap(), 99);
    assert_eq!(call("Put").await.unwrap_err().message(), "reset");
}

#[tokio::test(start_paused = true)]
async fn another_service_is_sent_what_was_not_executed_or_may_run_twice() {
    let falls = async |call: Call, error: fn() -> Error| {
        let other = Script::default();
        let layer = FallbackLayer::service(other.clone()).idempotent(["List"]);
        let result = layer.layer(Script::failing(1, error)).oneshot(call).await;
        assert_eq!(result.is_ok(), other.attempts() == 1);
        result.is_ok()
    };
    assert!(falls(Call::new("Put"), unsent).await);
    assert!(falls(Call::new("Put"), refused).await);
    assert!(!falls(Call::new("Put"), reset).await);
    assert!(falls(Call::new("Get").idempotent(), reset).await);
    assert!(falls(Call::new("List"), reset).await);
    let mut once = Call::new("Put");
    once.copies = 0;
    assert!(!falls(once, unsent).await);
    let mut message = Call::new("Put");
    message.cx.set_one_way(true);
    assert!(!falls(message, unsent).await);
}

#[tokio::test(start_paused = true)]
async fn if_both_fail_the_error_never_hides_that_the_call_may_have_been_executed() {
    let execution = async |first: fn() -> Error, second: fn() -> Error| {
        let layer = FallbackLayer::service(Script::failing(1, second));
        let call = Call::new("Get").idempotent();
        let error = layer.layer(Script::failing(1, first)).oneshot(call).await;
        error.unwrap_err().execution()
    };
    assert_eq!(execution(reset, unsent).await, Execution::MaybeExecuted);
    assert_eq!(execution(unsent, reset).await, Execution::MaybeExecuted);
    assert_eq!(execution(unsent, refused).await, Execution::NotStarted);
}

#[tokio::test(start_paused = true)]
async fn the_other_service_is_waited_for_and_gets_its_part_of_the_time() {
    let other = ConcurrencyLimitLayer::new(1).layer(Script::new([Step::Late(seconds(3))]));
    let mut busy = other.clone();
    busy.ready().await.unwrap();
    tokio::spawn(busy.call(Call::new("Get")));

    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::new(seconds(10)))
        .layer(FallbackLayer::service(other))
        .layer(TimeoutLayer::per_attempt(seconds(1)))
        .service(Script::new([Step::Hang]));
    let start = Instant::now();
    let call = client.oneshot(Call::new("Get").idempotent());
    assert_eq!(call.await.unwrap(), 2);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_is_the_last_resort_outside_of_retries() {
    let script = Script::failing(9, refused);
    let client = ServiceBuilder::new()
        .layer(FallbackLayer::with(|_, _| Some(99)))
        .layer(RetryLayer::default())
        .service(script.clone());
    assert_eq!(client.oneshot(Call::new("Get")).await.unwrap(), 99);
    assert_eq!(script.attempts(), 3);
}
