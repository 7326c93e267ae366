use std::time::Duration;

use steeple_layers::{
    Context, Error, Execution, HedgeLayer, Kind, RateLimitLayer, RetryLayer, RetryPolicy,
    TimeoutLayer, rate_limit::Rate, retry::Budget,
};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

use super::support::{Call, Script, Step, millis, refused, reset, seconds, unsent};

fn get() -> Call {
    Call::new("Get").idempotent()
}

/// One hedge, after 100 ms.
fn layer() -> HedgeLayer {
    HedgeLayer::after(millis(100))
}

/// How a call ends, after how long, and how many attempts and cancelled ones there were.
async fn call(
    layer: HedgeLayer,
    call: Call,
    steps: impl IntoIterator<Item = Step>,
) -> (Result<usize, Error>, Duration, (usize, usize)) {
    let script = Script::new(steps);
    let start = Instant::now();
    let result = layer.layer(script.clone()).oneshot(call).await;
    let took = start.elapsed();
    let played = script.played();
    (result, took, (played.calls.len(), played.cancelled))
}

/// A timer goes off up to two milliseconds late.
fn about(took: Duration, expected: Duration) {
    let late = took.saturating_sub(expected);
    assert!(took >= expected && late <= millis(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_made_once_more_and_the_first_answer_wins_and_the_loser_is_cancelled() {
    let (result, took, counts) = call(layer(), get(), [Step::Hang, Step::Late(millis(5))]).await;
    assert_eq!(result.unwrap(), 2);
    about(took, millis(105));
    assert_eq!(counts, (2, 1));

    let steps = [Step::Late(millis(150)), Step::Hang];
    let (result, took, counts) = call(layer(), get(), steps).await;
    assert_eq!(result.unwrap(), 1);
    about(took, millis(150));
    assert_eq!(counts, (2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_loser_is_cancelled_with_the_answer_and_not_when_the_future_is_dropped() {
    let script = Script::new([Step::Hang, Step::Answer]);
    let mut call = Box::pin(layer().layer(script.clone()).call(get()));
    call.as_mut().await.unwrap();
    assert_eq!(script.played().cancelled, 1);
    drop(call);
}

/// Makes so many calls together, of which one may pass every second.
async fn in_turn(hedge: HedgeLayer, script: &Script, calls: usize) {
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::new(seconds(1000)))
        .layer(RetryLayer::default())
        .layer(RateLimitLayer::new(Rate::per_second(1)))
        .layer(hedge)
        .service(script.clone());
    let calls = (0..calls).map(|_| tokio::spawn(client.clone().oneshot(get())));
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_its_turn_is_not_hedged_for_that() {
    let script = Script::new((0..9).map(|_| Step::Late(millis(90))));
    in_turn(layer(), &script, 3).await;
    assert_eq!(script.attempts(), 3);

    let slow = Script::new([Step::Answer, Step::Late(seconds(1))]);
    in_turn(layer(), &slow, 2).await;
    assert_eq!(slow.attempts(), 3, "it is still hedged for being slow");
}

#[tokio::test(start_paused = true)]
async fn a_percentile_counts_what_is_below_and_not_the_wait_for_a_turn() {
    let hedge = HedgeLayer::percentile(50.0, seconds(7));
    let script = Script::new((0..100).map(|_| Step::Late(millis(5))));
    in_turn(hedge.clone(), &script, 100).await;
    let known = hedge.delay();
    assert!(known >= millis(5) && known < millis(8), "{known:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_in_time_is_made_once() {
    let (result, took, counts) = call(layer(), get(), [Step::Late(millis(99))]).await;
    assert_eq!(result.unwrap(), 1);
    about(took, millis(99));
    assert_eq!(counts, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn only_what_may_run_twice_and_can_be_copied_is_hedged() {
    let attempts = async |layer: HedgeLayer, one: Call| {
        let steps = [Step::Late(seconds(1)), Step::Late(seconds(1))];
        call(layer, one, steps).await.2.0
    };
    assert_eq!(attempts(layer(), get()).await, 2);
    assert_eq!(attempts(layer(), Call::new("Put")).await, 1);
    let named = || layer().idempotent(["Get"]);
    assert_eq!(attempts(named(), Call::new("Get")).await, 2);
    assert_eq!(attempts(named(), Call::new("Put")).await, 1);
    let mut once = get();
    once.copies = 0;
    assert_eq!(attempts(layer(), once).await, 1);
    let mut message = get();
    message.cx.set_one_way(true);
    assert_eq!(attempts(layer(), message).await, 1);
    assert_eq!(attempts(layer().hedges(0), get()).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_counts_as_another_attempt_of_the_same_call() {
    let script = Script::new([Step::Hang, Step::Hang, Step::Answer]);
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::new(seconds(2)))
        .layer(layer().hedges(2))
        .service(script.clone());
    client.oneshot(get()).await.unwrap();
    let played = script.played();
    let numbers: Vec<_> = played.calls.iter().map(Context::attempt).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let first = &played.calls[0];
    assert_ne!(first.seed(), 0);
    for cx in &played.calls {
        assert_eq!((cx.seed(), cx.deadline()), (first.seed(), first.deadline()));
    }
}

#[tokio::test(start_paused = true)]
async fn more_hedges_come_one_delay_after_another_up_to_the_most() {
    for (hedges, attempts) in [(1, 2), (3, 4), (u32::MAX, 9)] {
        let layer = layer().hedges(hedges).budget(Budget::new(0, 100));
        let script = Script::new((0..20).map(|_| Step::Hang));
        let call = layer.layer(script.clone()).oneshot(get());
        timeout(seconds(60), call).await.unwrap_err();
        let played = script.played();
        assert_eq!((played.calls.len(), played.cancelled), (attempts, attempts));
    }
    let steps = [Step::Hang, Step::Hang, Step::Answer];
    let (result, took, _) = call(layer().hedges(2), get(), steps).await;
    assert_eq!(result.unwrap(), 3);
    about(took, millis(200));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_waits_for_the_other() {
    for (one, other) in [(150, 200), (200, 50)] {
        let slow = Script::new([Step::Late(millis(one)), Step::Late(millis(other))]);
        // The first to end fails.
        let client = layer().layer(FailsFirst::over(slow));
        let start = Instant::now();
        assert!(client.oneshot(get()).await.is_ok());
        about(start.elapsed(), millis(one.max(100 + other)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_fails_if_all_attempts_do_with_the_error_of_the_one_that_got_furthest() {
    let script = Script::new([Step::Late(millis(200)), Step::Fail(unsent())]);
    let client = layer().layer(FailsFirst::with(script, reset));
    let error = client.oneshot(get()).await.unwrap_err();
    assert_eq!(error.execution(), Execution::MaybeExecuted);

    let script = Script::new([Step::Hang, Step::Fail(unsent())]);
    let limited = TimeoutLayer::per_attempt(millis(300)).layer(script);
    let error = layer().layer(limited).oneshot(get()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_before_it_was_hedged_fails() {
    let (result, took, counts) = call(layer(), get(), [Step::Fail(reset())]).await;
    assert_eq!(result.unwrap_err().kind(), Kind::Connection);
    assert_eq!((took, counts), (Duration::ZERO, (1, 0)));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_another_attempt_would_not_change_ends_the_call() {
    let not_there = Error::application(404, "no such user");
    let steps = [Step::Hang, Step::Fail(not_there)];
    let (result, took, counts) = call(layer(), get(), steps).await;
    assert_eq!(result.unwrap_err().kind(), Kind::Application);
    about(took, millis(100));
    assert_eq!(counts, (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_come_back_later_gets_no_more_hedges() {
    let attempts = async |error: Error| {
        let steps = [Step::Hang, Step::Fail(error), Step::Answer];
        let script = Script::new(steps);
        let call = layer().hedges(5).layer(script.clone()).oneshot(get());
        let _answered_or_not = timeout(seconds(60), call).await;
        script.attempts()
    };
    assert_eq!(attempts(refused()).await, 3);
    assert_eq!(attempts(refused().with_retry_after(millis(1))).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_budget_pays_and_calls_that_are_not_hedged_earn_it() {
    let hedged = async |layer: HedgeLayer, calls: usize| {
        let steps = (0..4 * calls).map(|_| Step::Late(seconds(1)));
        let script = Script::new(steps);
        for _ in 0..calls {
            let client = layer.layer(script.clone());
            client.oneshot(get()).await.unwrap();
        }
        script.attempts() - calls
    };
    assert_eq!(hedged(layer().budget(Budget::new(0, 0)), 50).await, 0);
    let budget = Budget::new(50, 0);
    assert_eq!(hedged(layer().budget(budget.clone()), 50).await, 25);
    // Others count the calls.
    assert_eq!(hedged(layer().shared_budget(budget.clone()), 50).await, 0);
    let script = Script::default();
    let writing = layer().budget(budget.clone()).layer(script);
    for _ in 0..20 {
        writing.clone().oneshot(Call::new("Put")).await.unwrap();
    }
    assert_eq!(hedged(layer().shared_budget(budget), 50).await, 10);
}

#[tokio::test(start_paused = true)]
async fn retries_and_hedges_draw_on_one_budget() {
    let budget = Budget::new(0, 3);
    let steps = (0..100).map(|_| Step::Fail(refused()));
    let script = Script::new([Step::Hang, Step::Hang].into_iter().chain(steps));
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(
            RetryPolicy::new().attempts(9).budget(budget.clone()),
        ))
        .layer(layer().shared_budget(budget.clone()))
        .layer(TimeoutLayer::per_attempt(millis(200)))
        .service(script.clone());
    client.oneshot(get()).await.unwrap_err();
    // The first attempt, its hedge, and two retries.
    assert_eq!(script.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_would_come_after_the_deadline_is_none() {
    let script = Script::new([Step::Hang, Step::Answer]);
    let client = TimeoutLayer::without_default().layer(layer().layer(script.clone()));
    let error = client.oneshot(get().within(millis(99))).await.unwrap_err();
    assert!(error.is_timeout());
    sleep(seconds(1)).await;
    assert_eq!(script.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_says_when_it_is_hedged_and_how_many_attempts_it_has() {
    let hedged = async |change: fn(&mut Context)| {
        let mut one = get();
        change(&mut one.cx);
        let steps = (0..9).map(|_| Step::Late(seconds(1)));
        let (_, _, (attempts, _)) = call(layer().hedges(3), one, steps).await;
        attempts - 1
    };
    assert_eq!(hedged(|_| {}).await, 3);
    assert_eq!(
        hedged(|cx| {
            cx.set_hedge_delay(millis(400));
        })
        .await,
        2
    );
    assert_eq!(
        hedged(|cx| {
            cx.set_hedge_delay(Duration::MAX);
        })
        .await,
        0
    );
    assert_eq!(
        hedged(|cx| {
            cx.set_max_attempts(2);
        })
        .await,
        1
    );
    assert_eq!(
        hedged(|cx| {
            cx.set_max_attempts(1);
        })
        .await,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_hedge_waits_for_a_service_that_is_not_ready() {
    let script = Script::new([Step::Late(millis(500)), Step::Answer]);
    let limited = ConcurrencyLimitLayer::new(1).layer(script.clone());
    assert_eq!(layer().layer(limited).oneshot(get()).await.unwrap(), 1);
    assert_eq!(script.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_cancels_all_attempts() {
    let script = Script::new([Step::Hang, Step::Hang, Step::Hang]);
    let call = layer().hedges(2).layer(script.clone()).oneshot(get());
    timeout(seconds(1), call).await.unwrap_err();
    let played = script.played();
    assert_eq!((played.calls.len(), played.cancelled), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_percentile_is_learned_from_calls_and_until_then_the_first_delay_holds() {
    let layer = HedgeLayer::percentile(95.0, seconds(7));
    assert_eq!(layer.delay(), seconds(7));
    let script = Script::new((1..=200).map(|n| Step::Late(millis(n))));
    let client = layer.layer(script);
    for _ in 0..200 {
        client.clone().oneshot(get()).await.unwrap();
    }
    let known = layer.delay();
    assert!(known >= millis(185) && known < millis(210), "{known:?}");

    let script = Script::new([Step::Hang, Step::Answer]);
    let start = Instant::now();
    layer.layer(script).oneshot(get()).await.unwrap();
    about(start.elapsed(), known);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_hedged_sooner_by_themselves_do_not_make_a_percentile_shorter() {
    let hedge = HedgeLayer::percentile(50.0, seconds(7)).budget(Budget::new(0, 1000));
    let script = Script::default();
    let mut client = hedge.layer(script.clone());
    for _ in 0..200 {
        // Each hedge answers at once, and of others every second call.
        script.plays([Step::Late(millis(500)), Step::Answer, Step::Answer]);
        for _ in 0..2 {
            let mut impatient = get();
            impatient.cx.set_hedge_delay(millis(1));
            client.call(impatient).await.unwrap();
        }
        script.plays([Step::Late(millis(500))]);
        client.call(get()).await.unwrap();
    }
    let known = hedge.delay();
    assert!(known >= millis(500) && known < millis(540), "{known:?}");
    let patient = hedge.delay() + seconds(1);
    for _ in 0..400 {
        script.plays([Step::Late(millis(5))]);
        let mut call = get();
        call.cx.set_hedge_delay(patient);
        client.call(call).await.unwrap();
    }
    assert!(
        hedge.delay() < millis(10),
        "later ones teach: {:?}",
        hedge.delay()
    );
}

#[tokio::test(start_paused = true)]
async fn failures_do_not_make_a_percentile_shorter() {
    let layer = HedgeLayer::percentile(50.0, seconds(7));
    let script = Script::failing(500, unsent);
    for _ in 0..500 {
        let client = layer.layer(script.clone());
        client.oneshot(get()).await.unwrap_err();
    }
    assert_eq!(layer.delay(), seconds(7));
}

use fails_first::FailsFirst;

mod fails_first {
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        task::{Context, Poll},
    };

    use steeple_layers::Error;
    use tower::Service;

    use super::{Call, Script, reset};

    /// Of all calls, the first to be answered fails instead.
    #[derive(Clone)]
    pub(super) struct FailsFirst {
        inner: Script,
        failed: Arc<AtomicBool>,
        error: fn() -> Error,
    }

    impl FailsFirst {
        pub(super) fn over(inner: Script) -> Self {
            Self::with(inner, reset)
        }

        pub(super) fn with(inner: Script, error: fn() -> Error) -> Self {
            Self {
                inner,
                failed: Arc::default(),
                error,
            }
        }
    }

    impl Service<Call> for FailsFirst {
        type Response = usize;
        type Error = Error;
        type Future = Pin<Box<dyn Future<Output = Result<usize, Error>> + Send>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.inner.poll_ready(cx)
        }

        fn call(&mut self, call: Call) -> Self::Future {
            let (answer, one) = (self.inner.call(call), self.clone());
            Box::pin(async move {
                let count = answer.await?;
                match one.failed.swap(true, SeqCst) {
                    true => Ok(count),
                    false => Err((one.error)()),
                }
            })
        }
    }
}
