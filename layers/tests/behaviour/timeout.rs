use std::time::Duration;

use steeple_layers::{AsError, BoxError, Execution, Kind, TimeoutLayer};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::support::{Call, Script, Step, millis, seconds};

/// How long a hanging call takes to fail under `layer`.
async fn fails_after(layer: TimeoutLayer, call: Call) -> Duration {
    let start = Instant::now();
    let script = Script::new([Step::Hang]);
    let error = layer.layer(script.clone()).oneshot(call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(error.execution(), Execution::MaybeExecuted);
    assert_eq!(script.played().cancelled, 1);
    let deadline = script.played().calls[0].deadline().unwrap();
    assert_eq!(Instant::now(), deadline + millis(4), "the grace of 4 ms");
    deadline - start
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_gets_the_default_and_its_own_wins() {
    let layer = TimeoutLayer::new(seconds(2));
    let call = || Call::new("Hang");
    assert_eq!(fails_after(layer, call()).await, seconds(2));
    assert_eq!(
        fails_after(layer, call().within(seconds(1))).await,
        seconds(1)
    );
    assert_eq!(
        fails_after(layer, call().within(seconds(50))).await,
        seconds(50)
    );
    assert_eq!(
        fails_after(TimeoutLayer::default(), call()).await,
        seconds(20)
    );
}

#[tokio::test(start_paused = true)]
async fn a_cap_holds_for_the_default_and_for_what_the_caller_set() {
    let layer = TimeoutLayer::new(seconds(9)).cap(seconds(5));
    let call = || Call::new("Hang");
    assert_eq!(fails_after(layer, call()).await, seconds(5));
    assert_eq!(
        fails_after(layer, call().within(seconds(50))).await,
        seconds(5)
    );
    assert_eq!(
        fails_after(layer, call().within(seconds(1))).await,
        seconds(1)
    );
    let cap_alone = TimeoutLayer::without_default().cap(seconds(3));
    assert_eq!(fails_after(cap_alone, call()).await, seconds(3));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_its_time_from_its_own_beginning_but_no_more_than_the_call() {
    let layer = TimeoutLayer::per_attempt(seconds(2));
    let mut call = Call::new("Hang").within(seconds(9));
    advance(seconds(5)).await;
    assert_eq!(fails_after(layer, call.clone()).await, seconds(2));
    advance(seconds(1)).await;
    call.cx.set_attempt(1);
    let left = fails_after(layer, call).await;
    assert!(left < seconds(1), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_late_already_reaches_no_service() {
    let script = Script::default();
    let mut client = TimeoutLayer::new(seconds(1)).layer(script.clone());
    let late = Call::new("Echo").within(Duration::ZERO);
    let error = client.ready().await.unwrap().call(late).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.execution().is_safe_to_repeat());
    assert_eq!(script.attempts(), 0);

    // What was ready still is.
    assert_eq!(client.call(Call::new("Echo")).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_any_limit_a_call_waits() {
    let script = Script::new([Step::Late(seconds(1000)), Step::Late(seconds(1000))]);
    let mut client = TimeoutLayer::without_default().layer(script.clone());
    client.call(Call::new("Slow")).await.unwrap();
    client
        .call(Call::new("Slow").within(Duration::MAX))
        .await
        .unwrap();
    let years = Duration::from_secs(30 * 365 * 24 * 3600);
    let deadline = script.played().calls[1].deadline().unwrap();
    assert!(deadline > tokio::time::Instant::now() + years / 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_with_the_deadline_is_an_answer() {
    let script = Script::new([Step::Late(seconds(2)), Step::Late(seconds(2) + millis(5))]);
    let mut client = TimeoutLayer::new(seconds(2)).layer(script);
    client.call(Call::new("Slow")).await.unwrap();
    client.call(Call::new("Slow")).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_call_longer_than_a_timer_is_armed_for_keeps_its_deadline() {
    let hour = Call::new("Hang").within(seconds(3600));
    assert_eq!(
        fails_after(TimeoutLayer::default(), hour).await,
        seconds(3600)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_timed_out_is_cancelled_although_its_future_is_kept() {
    let script = Script::new([Step::Hang]);
    let mut call = Box::pin(
        TimeoutLayer::new(seconds(1))
            .layer(script.clone())
            .oneshot(Call::new("Hang")),
    );
    call.as_mut().await.unwrap_err();
    assert_eq!(script.played().cancelled, 1);
    drop(call);
}

#[tokio::test(start_paused = true)]
async fn many_calls_with_different_times_each_keep_their_own() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let time = seconds(rng.u64(1..100));
                let work = millis(rng.u64(1..100_000));
                let client = TimeoutLayer::default().layer(Script::new([Step::Late(work)]));
                tokio::spawn(async move {
                    let start = Instant::now();
                    let result = client.oneshot(Call::new("Work").within(time)).await;
                    (work, time, result.is_ok(), start.elapsed())
                })
            })
            .collect();
        for call in calls {
            let (work, time, answered, took) = call.await.unwrap();
            if answered {
                assert_eq!(took, work);
                assert!(work <= time + millis(4));
            } else {
                assert_eq!(took, time + millis(4));
            }
        }
        sleep(millis(rng.u64(1..50_000))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_boxed_error_carries_the_timeout() {
    let hang = service_fn(|_: Call| std::future::pending::<Result<(), BoxError>>());
    let client = TimeoutLayer::new(seconds(1)).layer(hang);
    let error = client.oneshot(Call::new("Hang")).await.unwrap_err();
    assert!(error.as_error().unwrap().is_timeout());
}
