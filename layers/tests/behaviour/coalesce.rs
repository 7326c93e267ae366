use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures_util::{FutureExt, future::join_all};
use steeple_layers::{
    BoxError, CoalesceLayer, Error, Kind, TimeoutLayer,
    coalesce::{Coalesce, MAX_KEYS, MAX_SHARING},
};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

use super::support::{Call, Script, Step, millis, reset, seconds};

type Client = Coalesce<Script, fn(&Call) -> Option<String>, Call, String>;

/// Shares calls to the same method, unless it is `Put`.
fn client(script: &Script) -> Client {
    let key: fn(&Call) -> Option<String> =
        |call| (call.cx.method() != "Put").then(|| call.cx.method().to_string());
    CoalesceLayer::new(key).layer(script.clone())
}

fn late(count: usize) -> Script {
    Script::new((0..count).map(|_| Step::Late(seconds(1))))
}

#[tokio::test(start_paused = true)]
async fn callers_who_ask_the_same_at_the_same_time_share_a_call_and_its_answer() {
    let script = late(9);
    let client = client(&script);
    let calls = (0..100).map(|_| client.clone().oneshot(Call::new("Get")));
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap(), 1);
    }
    assert_eq!(script.attempts(), 1);
    let later = client.oneshot(Call::new("Get")).await.unwrap();
    assert_eq!(later, 2, "nothing is kept");
}

#[tokio::test(start_paused = true)]
async fn calls_with_other_keys_without_a_key_and_without_an_answer_are_made_by_themselves() {
    let attempts = async |call: fn(usize) -> Call| {
        let script = late(9);
        let client = client(&script);
        let calls = (0..4).map(|n| client.clone().oneshot(call(n)));
        assert!(join_all(calls).await.iter().all(Result::is_ok));
        script.attempts()
    };
    assert_eq!(attempts(|_| Call::new("Get")).await, 1);
    assert_eq!(attempts(|n| Call::new(["A", "B", "C", "D"][n])).await, 4);
    assert_eq!(attempts(|_| Call::new("Put")).await, 4);
    let message = |_| {
        let mut message = Call::new("Get");
        message.cx.set_one_way(true);
        message
    };
    assert_eq!(attempts(message).await, 4);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_to_all_as_it_is() {
    let slow = service_fn(|_: Call| async {
        sleep(millis(1)).await;
        Err::<(), _>(
            reset()
                .with_source("broken pipe")
                .with_retry_after(seconds(3)),
        )
    });
    let client = CoalesceLayer::new(|_: &Call| Some(())).layer(slow);
    let calls = (0..3).map(|_| client.clone().oneshot(Call::new("Get")));
    for answer in join_all(calls).await {
        let error = answer.unwrap_err();
        assert_eq!((error.message(), error.kind()), ("reset", Kind::Connection));
        assert_eq!(error.retry_after(), Some(seconds(3)));
        assert!(std::error::Error::source(&error).is_some());
    }

    let boxed = service_fn(|_: Call| async {
        sleep(millis(1)).await;
        Err::<(), _>(BoxError::from("disk full"))
    });
    let client = CoalesceLayer::new(|_: &Call| Some(())).layer(boxed);
    let calls = (0..3).map(|_| client.clone().oneshot(Call::new("Get")));
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap_err().to_string(), "disk full");
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_share_a_call_have_the_deadline_of_the_first() {
    for (first, second) in [(1, 10), (10, 1)] {
        let kept = TimeoutLayer::without_default().layer(Script::new([Step::Hang]));
        let client = CoalesceLayer::new(|_: &Call| Some(())).layer(kept);
        let start = Instant::now();
        let calls = [first, second].map(|time| {
            let call = Call::new("Get").within(seconds(time));
            client.clone().oneshot(call)
        });
        for answer in join_all(calls).await {
            assert!(answer.unwrap_err().is_timeout());
        }
        let took = start.elapsed();
        assert!(
            took >= seconds(first) && took < seconds(first) + millis(10),
            "{took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_the_call_to_the_others() {
    for quitter in 0..3 {
        let script = late(9);
        let client = client(&script);
        let calls = (0..3).map(|n| {
            let patience = if n == quitter {
                millis(500)
            } else {
                seconds(5)
            };
            timeout(patience, client.clone().oneshot(Call::new("Get")))
        });
        // Each in a task of its own, so that only who is woken is polled.
        let tasks: Vec<_> = calls.map(tokio::spawn).collect();
        for (n, task) in tasks.into_iter().enumerate() {
            let answer = task.await.unwrap();
            assert_eq!(answer.is_err(), n == quitter);
        }
        assert_eq!((script.attempts(), script.played().cancelled), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_woken_and_leaves_wakes_the_others() {
    let script = late(1);
    let mut client = client(&script);
    // The first polls, is woken, and looks no more.
    let mut first = Box::pin(client.call(Call::new("Get")));
    assert!(first.as_mut().now_or_never().is_none());
    let other = tokio::spawn(client.call(Call::new("Get")));
    sleep(seconds(1)).await;
    drop(first);
    assert_eq!(other.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_to_give_up_cancels_the_call_and_the_next_makes_another() {
    let script = Script::new([Step::Hang, Step::Answer]);
    let mut client = client(&script);
    let mut calls: Vec<_> = (0..3)
        .map(|_| Box::pin(client.call(Call::new("Get"))))
        .collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
    }
    while let Some(call) = calls.pop() {
        assert_eq!(script.played().cancelled, 0);
        drop(call);
    }
    assert_eq!(script.played().cancelled, 1);
    assert_eq!(client.call(Call::new("Get")).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_call_does_not_hold_what_it_was_ready_with() {
    let script = Script::new([Step::Hang]);
    let limited = ConcurrencyLimitLayer::new(2).layer(script.clone());
    let mut one = CoalesceLayer::new(|call: &Call| Some(call.cx.method().clone())).layer(limited);
    let mut other = one.clone();
    other.ready().await.unwrap();
    one.ready().await.unwrap();
    let shared = (one.call(Call::new("Get")), other.call(Call::new("Get")));
    one.oneshot(Call::new("List")).await.unwrap();
    assert_eq!(script.attempts(), 2);
    drop(shared);
}

#[tokio::test(start_paused = true)]
async fn each_caller_keeps_its_own_deadline() {
    let script = late(1);
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::without_default())
        .service(client(&script));
    let patient = client.clone().oneshot(Call::new("Get").within(seconds(5)));
    let hasty = client.oneshot(Call::new("Get").within(millis(100)));
    let (patient, hasty) = tokio::join!(patient, hasty);
    assert!(hasty.unwrap_err().is_timeout());
    assert_eq!(patient.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_fails_those_who_shared_it() {
    let panics = service_fn(|_: Call| async {
        sleep(millis(1)).await;
        panic!("on purpose");
        #[allow(unreachable_code)]
        Ok::<(), Error>(())
    });
    let mut client = CoalesceLayer::new(|_: &Call| Some(())).layer(panics);
    let calls = (0..3).map(|_| {
        let call = client.call(Call::new("Get"));
        tokio::spawn(AssertUnwindSafe(call).catch_unwind())
    });
    let tasks: Vec<_> = calls.collect();
    let (mut panicked, mut failed) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Err(_) => panicked += 1,
            Ok(answer) => {
                assert_eq!(answer.unwrap_err().kind(), Kind::Internal);
                failed += 1;
            }
        }
    }
    assert_eq!((panicked, failed), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn so_many_share_a_call_and_the_next_begin_another() {
    let script = late(9);
    let client = client(&script);
    let calls = (0..MAX_SHARING + 10).map(|_| client.clone().oneshot(Call::new("Get")));
    let answers = join_all(calls).await;
    let of = |call| {
        answers
            .iter()
            .filter(|answer| matches!(answer, Ok(n) if *n == call))
            .count()
    };
    assert_eq!((of(1), of(2)), (MAX_SHARING, 10));
}

#[tokio::test(start_paused = true)]
async fn beyond_so_many_keys_calls_are_made_by_themselves() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let slow = service_fn(move |_: Call| {
        count.fetch_add(1, SeqCst);
        async {
            sleep(millis(1)).await;
            Ok::<_, Error>(())
        }
    });
    let next = Mutex::new(0);
    // Each two calls have a key.
    let key = move |_: &Call| {
        let mut next = next.lock().unwrap();
        *next += 1;
        Some(*next / 2)
    };
    let key = Arc::new(key);
    let mut client = CoalesceLayer::new(move |call: &Call| key(call)).layer(slow);
    let calls: Vec<_> = (1..2 * MAX_KEYS + 20)
        .map(|_| client.call(Call::new("Get")))
        .collect();
    assert_eq!(made.load(SeqCst), MAX_KEYS + 20);
    for answer in join_all(calls).await {
        answer.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_every_caller_has_an_answer_and_calls_are_fewer() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let slow = service_fn(move |_: Call| {
        count.fetch_add(1, SeqCst);
        async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Error>(7)
        }
    });
    let client = CoalesceLayer::new(|_: &Call| Some(())).layer(slow);
    let callers = (0..32).map(|n: usize| {
        let client = client.clone();
        tokio::spawn(async move {
            for turn in 0..500 {
                let call = client.clone().oneshot(Call::new("Get"));
                if (n + turn).is_multiple_of(5) {
                    // Some give up.
                    let mut call = Box::pin(call);
                    let _ = call.as_mut().now_or_never();
                    tokio::task::yield_now().await;
                } else {
                    assert_eq!(call.await.unwrap(), 7);
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert!(made.load(SeqCst) < 32 * 500);
}
