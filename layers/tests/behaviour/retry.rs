use std::time::Duration;

use steeple_layers::{
    Backoff, Context, Error, Execution, Kind, Origin, Replay, RetryLayer, RetryPolicy,
    TimeoutLayer,
    retry::{Budget, Policy},
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::support::{Call, Script, Step, millis, refused, reset, seconds, unsent};

/// Waits exactly 10, 20, 40 … ms.
fn exact() -> RetryPolicy {
    RetryPolicy::new().backoff(Backoff::default().jitter(0.0))
}

/// How many attempts a call makes under the default policy if all fail like this.
async fn attempts(call: Call, error: impl Fn() -> Error) -> usize {
    attempts_under(exact(), call, error).await
}

async fn attempts_under(policy: RetryPolicy, call: Call, error: impl Fn() -> Error) -> usize {
    let script = Script::failing(100, &error);
    let client = RetryLayer::new(policy).layer(script.clone());
    let failure = client.oneshot(call).await.unwrap_err();
    assert_eq!(failure.kind(), error().kind());
    script.attempts()
}

#[tokio::test(start_paused = true)]
async fn what_was_not_executed_is_tried_again_and_what_may_have_been_only_if_idempotent() {
    assert_eq!(attempts(Call::new("Put"), unsent).await, 3);
    assert_eq!(attempts(Call::new("Put"), refused).await, 3);
    assert_eq!(attempts(Call::new("Put"), reset).await, 1);
    assert_eq!(attempts(Call::new("Put").idempotent(), reset).await, 3);
    let named = || exact().idempotent(["Get", "List"]);
    assert_eq!(attempts_under(named(), Call::new("Get"), reset).await, 3);
    assert_eq!(attempts_under(named(), Call::new("Put"), reset).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_would_come_again_is_never_tried_again() {
    for kind in [
        Kind::Application,
        Kind::Cancelled,
        Kind::Closed,
        Kind::Invalid,
        Kind::PermissionDenied,
        Kind::Unauthenticated,
        Kind::Unimplemented,
    ] {
        let error = || Error::new(kind, "").with_execution(Execution::NotStarted);
        assert_eq!(
            attempts(Call::new("Get").idempotent(), error).await,
            1,
            "{kind}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_internal_error_of_the_server_is_tried_again_for_idempotent_calls_only() {
    let of = |origin| {
        move || {
            Error::new(Kind::Internal, "")
                .with_origin(origin)
                .with_execution(Execution::NotStarted)
        }
    };
    let get = || Call::new("Get").idempotent();
    assert_eq!(attempts(get(), of(Origin::Remote)).await, 3);
    assert_eq!(attempts(get(), of(Origin::Local)).await, 1);
    assert_eq!(attempts(Call::new("Put"), of(Origin::Remote)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_reached_is_tried_again_unless_the_call_is_to_fail_fast() {
    let unreachable = || Error::new(Kind::Unreachable, "nobody there");
    let mut fast = Call::new("Get");
    fast.cx.set_fail_fast(true);
    assert_eq!(attempts(Call::new("Get"), unreachable).await, 3);
    assert_eq!(attempts(fast, unreachable).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_on_this_side_is_tried_elsewhere_or_not_at_all_and_is_charged() {
    let full = || Error::new(Kind::Overflow, "32768 calls wait");
    let shed = || refused_as(Kind::Overflow);
    assert_eq!(attempts(Call::new("Get"), full).await, 1);
    assert_eq!(attempts(Call::new("Get"), shed).await, 3);
    let elsewhere = || exact().elsewhere(true);
    assert_eq!(attempts_under(elsewhere(), Call::new("Get"), full).await, 3);
    let poor = || elsewhere().budget(Budget::new(0, 0));
    assert_eq!(attempts_under(poor(), Call::new("Get"), full).await, 1);
}

fn refused_as(kind: Kind) -> Error {
    Error::new(kind, "")
        .with_origin(Origin::Remote)
        .with_execution(Execution::NotStarted)
}

#[tokio::test(start_paused = true)]
async fn a_budget_pays_for_what_was_sent_and_is_shared_by_clones() {
    let script = Script::failing(1000, refused);
    let budget = Budget::new(0, 5);
    let client = RetryLayer::new(exact().budget(budget)).layer(script.clone());
    for _ in 0..10 {
        client.clone().oneshot(Call::new("Get")).await.unwrap_err();
    }
    assert_eq!(script.attempts(), 10 + 5);

    let poor = exact().budget(Budget::new(0, 0));
    assert_eq!(attempts_under(poor, Call::new("Get"), unsent).await, 3);
}

#[tokio::test(start_paused = true)]
async fn an_outage_adds_a_fifth_to_the_calls() {
    let script = Script::failing(10_000, refused);
    let policy = exact().budget(Budget::new(20, 0));
    let mut client = RetryLayer::new(policy).layer(script.clone());
    for _ in 0..1000 {
        client.call(Call::new("Get")).await.unwrap_err();
    }
    assert_eq!(script.attempts(), 1200);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_and_share_a_seed_and_the_deadline() {
    let script = Script::failing(2, refused);
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::new(seconds(2)))
        .layer(RetryLayer::new(exact()))
        .layer(TimeoutLayer::per_attempt(millis(500)))
        .service(script.clone());
    client.oneshot(Call::new("Get")).await.unwrap();
    let played = script.played();
    let numbers: Vec<_> = played.calls.iter().map(Context::attempt).collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert_ne!(played.calls[0].seed(), 0);
    assert!(
        played
            .calls
            .iter()
            .all(|cx| cx.seed() == played.calls[0].seed())
    );
    let deadlines: Vec<_> = played
        .calls
        .iter()
        .map(|cx| cx.deadline().unwrap())
        .collect();
    assert_eq!(deadlines[1] - deadlines[0], millis(10));
    assert_eq!(deadlines[2] - deadlines[1], millis(20));
}

#[tokio::test(start_paused = true)]
async fn a_seed_that_is_set_stays() {
    let script = Script::failing(1, unsent);
    let mut call = Call::new("Get");
    call.cx.set_seed(42);
    RetryLayer::default()
        .layer(script.clone())
        .oneshot(call)
        .await
        .unwrap();
    assert!(script.played().calls.iter().all(|cx| cx.seed() == 42));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_never_sent_is_tried_again_at_once_then_after_a_wait() {
    let script = Script::failing(2, unsent);
    let start = Instant::now();
    let client = RetryLayer::new(exact()).layer(script);
    client.oneshot(Call::new("Get")).await.unwrap();
    assert_eq!(start.elapsed(), millis(20));
}

#[tokio::test(start_paused = true)]
async fn the_server_says_when_to_come_back() {
    let after = |wait| Script::failing(1, move || refused().with_retry_after(wait));
    let start = Instant::now();
    let client = |script: &Script| RetryLayer::new(exact()).layer(script.clone());
    client(&after(seconds(3)))
        .oneshot(Call::new("Get"))
        .await
        .unwrap();
    assert_eq!(start.elapsed(), seconds(3) + millis(10));

    let in_an_hour = after(seconds(3600));
    let error = client(&in_an_hour)
        .oneshot(Call::new("Get"))
        .await
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(seconds(3600)));
    assert_eq!(in_an_hour.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_never_sent_goes_elsewhere_without_waiting_for_whoever_refused_it_here() {
    let script = Script::failing(2, || unsent().with_retry_after(seconds(3600)));
    let start = Instant::now();
    let client = RetryLayer::new(exact()).layer(script);
    client.oneshot(Call::new("Get")).await.unwrap();
    assert_eq!(start.elapsed(), millis(20));
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let script = Script::failing(1, || refused().with_retry_after(seconds(3)));
    let start = Instant::now();
    let client = RetryLayer::new(exact()).layer(script.clone());
    let call = Call::new("Get").within(seconds(2));
    assert_eq!(
        client.oneshot(call).await.unwrap_err().kind(),
        Kind::Unavailable
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn until_the_deadline_means_until_the_deadline() {
    let script = Script::failing(10_000, unsent);
    let start = Instant::now();
    let client = RetryLayer::new(RetryPolicy::until_deadline()).layer(script.clone());
    let call = Call::new("Get").within(seconds(20));
    client.clone().oneshot(call).await.unwrap_err();
    let took = start.elapsed();
    assert!(took > seconds(19) && took < seconds(20), "{took:?}");
    assert!(script.attempts() > 25, "{}", script.attempts());

    let before = script.attempts();
    client.oneshot(Call::new("Get")).await.unwrap_err();
    assert_eq!(script.attempts() - before, 3, "without a deadline");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_times_out_is_tried_again_within_the_time_of_the_call() {
    let script = Script::new([Step::Hang, Step::Hang, Step::Answer]);
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::new(seconds(10)))
        .layer(RetryLayer::new(exact()))
        .layer(TimeoutLayer::per_attempt(seconds(1)))
        .service(script.clone());
    assert_eq!(
        client
            .clone()
            .oneshot(Call::new("Get").idempotent())
            .await
            .unwrap(),
        3
    );
    assert_eq!(script.played().cancelled, 2);

    let script = Script::new([Step::Hang, Step::Hang]);
    let client =
        RetryLayer::new(exact()).layer(TimeoutLayer::without_default().layer(script.clone()));
    let call = Call::new("Get").idempotent().within(seconds(1));
    assert!(client.oneshot(call).await.unwrap_err().is_timeout());
    assert_eq!(script.attempts(), 1, "the call itself had no time left");
}

#[tokio::test(start_paused = true)]
async fn the_error_that_remains_never_hides_that_an_attempt_may_have_been_executed() {
    let script = Script::new([
        Step::Fail(reset()),
        Step::Fail(unsent()),
        Step::Fail(unsent()),
    ]);
    let client = RetryLayer::new(exact()).layer(script.clone());
    let error = client
        .oneshot(Call::new("Get").idempotent())
        .await
        .unwrap_err();
    assert_eq!(script.attempts(), 3);
    assert_eq!(error.execution(), Execution::MaybeExecuted);
    assert_eq!(error.message(), "reset");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_copied_is_sent_as_often_as_there_are_copies() {
    for copies in 0..3 {
        let script = Script::failing(9, unsent);
        let mut call = Call::new("Put");
        call.copies = copies;
        let client = RetryLayer::new(exact()).layer(script.clone());
        client.oneshot(call).await.unwrap_err();
        assert_eq!(script.attempts(), copies as usize + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_answer_is_sent_once() {
    let mut call = Call::new("Log");
    call.cx.set_one_way(true);
    assert_eq!(attempts(call, unsent).await, 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_ends_it_in_an_attempt_and_in_a_wait() {
    let policy = || exact().backoff(Backoff::new(seconds(1), seconds(1)).jitter(0.0));
    for (dropped_after, attempts, cancelled) in [(millis(500), 1, 0), (seconds(2), 2, 1)] {
        let script = Script::new([Step::Fail(refused()), Step::Hang]);
        let client = RetryLayer::new(policy()).layer(script.clone());
        tokio::select! {
            biased;
            _ = client.oneshot(Call::new("Get")) => panic!("it hangs"),
            () = sleep(dropped_after) => {}
        }
        sleep(seconds(60)).await;
        let played = script.played();
        assert_eq!(
            (played.calls.len(), played.cancelled),
            (attempts, cancelled)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_never_waits_does_not_keep_the_thread() {
    #[derive(Clone)]
    struct AtOnce;
    impl Policy for AtOnce {
        fn retry(&self, _: &Context, _: &Error) -> Option<Duration> {
            Some(Duration::ZERO)
        }
    }
    let script = Script::failing(100_000, unsent);
    let client = RetryLayer::new(AtOnce).layer(script.clone());
    tokio::select! {
        biased;
        _ = client.oneshot(Call::new("Get")) => panic!("it always fails"),
        () = tokio::task::yield_now() => {}
    }
    assert!(script.attempts() < 1000, "{}", script.attempts());
}

#[tokio::test(start_paused = true)]
async fn towers_own_retry_takes_a_policy_that_replays() {
    #[derive(Clone)]
    struct Twice(u32);

    impl tower::retry::Policy<Call, usize, Error> for Twice {
        type Future = std::future::Ready<()>;

        fn retry(
            &mut self,
            _: &mut Call,
            result: &mut Result<usize, Error>,
        ) -> Option<Self::Future> {
            let error = result.as_ref().err()?;
            self.0 = self.0.checked_sub(1)?;
            error
                .execution()
                .is_safe_to_repeat()
                .then(|| std::future::ready(()))
        }

        fn clone_request(&mut self, call: &Call) -> Option<Call> {
            call.replay()
        }
    }

    let script = Script::failing(2, unsent);
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::new(seconds(2)))
        .retry(Twice(2))
        .service(script.clone());
    assert_eq!(client.oneshot(Call::new("Get")).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn retries_around_retries_count_the_attempts_of_these() {
    let script = Script::failing(100, unsent);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(exact().attempts(5)))
        .layer(RetryLayer::new(exact().attempts(3)))
        .service(script.clone());
    client.oneshot(Call::new("Get")).await.unwrap_err();
    let played = script.played();
    let numbers: Vec<_> = played.calls.iter().map(Context::attempt).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
}
