use std::time::Duration;

use steeple_layers::{Error, Execution, Kind, RateLimitLayer, rate_limit::Rate};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer};

use super::support::{Call, Script, millis, seconds};

/// When each of these calls was made, which began together, since then.
async fn made<S>(service: &S, calls: usize) -> Vec<u128>
where
    S: Service<Call, Error = Error> + Clone + Send + 'static,
    S::Response: Send,
    S::Future: Send,
{
    let start = Instant::now();
    let calls: Vec<_> = (0..calls)
        .map(|_| {
            let call = service.clone().oneshot(Call::new("Get"));
            tokio::spawn(async move {
                call.await.unwrap();
                start.elapsed().as_millis()
            })
        })
        .collect();
    let mut made = Vec::new();
    for call in calls {
        made.push(call.await.unwrap());
    }
    made
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_rate_and_pass_in_the_order_in_which_they_came() {
    let layer = RateLimitLayer::new(Rate::per_second(10).burst(2));
    let service = layer.layer(Script::default());
    assert_eq!(made(&service, 5).await, [0, 0, 100, 200, 300]);
    let other = layer.layer(Script::default());
    assert_eq!(made(&other, 2).await, [100, 200]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_no_more_than_the_burst() {
    let layer = RateLimitLayer::new(Rate::per_second(10).burst(2));
    let service = layer.layer(Script::default());
    made(&service, 2).await;
    advance(seconds(3600)).await;
    assert_eq!(made(&service, 3).await, [0, 0, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_the_time_for_its_turn_is_refused_at_once_and_uses_nothing() {
    let script = Script::default();
    let layer = RateLimitLayer::new(Rate::per_second(1));
    let mut service = layer.layer(script.clone());
    service.call(Call::new("Get")).await.unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        let call = Call::new("Get").within(millis(900));
        let error = service.call(call).await.unwrap_err();
        assert_eq!(Instant::now(), start);
        assert_eq!(error.kind(), Kind::Overflow);
        assert_eq!(error.execution(), Execution::NotStarted);
        assert_eq!(error.retry_after(), Some(seconds(1)));
        assert_eq!(
            error.message(),
            "the rate limit of 1 calls per 1s is reached"
        );
    }
    let start = Instant::now();
    service
        .call(Call::new("Get").within(millis(1100)))
        .await
        .unwrap();
    assert_eq!(start.elapsed(), seconds(1));
    assert_eq!(script.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_gives_its_turn_to_the_next() {
    let service = RateLimitLayer::new(Rate::per_second(1)).layer(Script::default());
    service.clone().oneshot(Call::new("Get")).await.unwrap();
    let start = Instant::now();
    let calls = [(); 3].map(|()| tokio::spawn(service.clone().oneshot(Call::new("Get"))));
    advance(millis(500)).await;
    let [first, second, third] = calls;
    first.abort();
    second.abort();
    third.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), seconds(1));
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_rate() {
    let layer = RateLimitLayer::new(Rate::per_second(1))
        .max_waiting(0)
        .by(|call: &Call| call.cx.method().clone());
    let mut service = layer.layer(Script::default());
    for method in ["a", "b", "c"] {
        service.call(Call::new(method)).await.unwrap();
        service.call(Call::new(method)).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_and_no_more() {
    let layer = RateLimitLayer::new(Rate::new(1, Duration::MAX)).max_waiting(2);
    let service = layer.layer(Script::default());
    service.clone().oneshot(Call::new("Get")).await.unwrap();
    let waiting = [(); 2].map(|()| tokio::spawn(service.clone().oneshot(Call::new("Get"))));
    advance(seconds(100_000)).await;
    service.clone().oneshot(Call::new("Get")).await.unwrap_err();
    assert!(waiting.iter().all(|call| !call.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_does_not_hold_what_it_was_ready_with() {
    let limited = ConcurrencyLimitLayer::new(1).layer(Script::default());
    let layer = RateLimitLayer::new(Rate::per_second(1)).max_waiting(0);
    let mut service = layer.layer(limited.clone());
    service.ready().await.unwrap();
    service.call(Call::new("Get")).await.unwrap();
    service.ready().await.unwrap();
    service.call(Call::new("Get")).await.unwrap_err();
    limited.oneshot(Call::new("Get")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_calls_wait_leaves_places_to_wait_in_for_the_others() {
    let by_method = |layer: RateLimitLayer| layer.by(|call: &Call| call.cx.method().clone());
    let layer = RateLimitLayer::new(Rate::new(1, seconds(3600)));
    for (layer, places) in [
        (by_method(layer.clone()), RateLimitLayer::MAX_WAITING_OF_KEY),
        (by_method(layer.clone()).max_waiting_of_key(3), 3),
        (by_method(layer.clone().max_waiting_of_key(3)), 3),
        (by_method(layer).max_waiting(2), 2),
    ] {
        let service = layer.layer(Script::default());
        let call = |method| tokio::spawn(service.clone().oneshot(Call::new(method)));
        let calls: Vec<_> = (0..2000).map(|_| call("greedy")).collect();
        sleep(seconds(1)).await;
        let wait = calls.iter().filter(|call| !call.is_finished()).count();
        assert_eq!(wait, places);
        if places > 2 {
            let modest = [call("modest"), call("modest")];
            sleep(seconds(1)).await;
            assert_eq!(modest.map(|call| call.is_finished()), [true, false]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_keys_all_that_may_wait_do() {
    let layer = RateLimitLayer::new(Rate::new(1, seconds(3600)));
    let service = layer.layer(Script::default());
    let calls: Vec<_> = (0..2000)
        .map(|_| tokio::spawn(service.clone().oneshot(Call::new("Get"))))
        .collect();
    sleep(seconds(1)).await;
    let wait = calls.iter().filter(|call| !call.is_finished()).count();
    assert_eq!(wait, RateLimitLayer::MAX_WAITING);
}
