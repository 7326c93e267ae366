//! Where handlers run, and that one that is stuck holds up no other.

use std::{
    pin::pin,
    sync::{Arc, Condvar, Mutex, mpsc},
    task::Poll,
    thread,
    time::Duration,
};

use futures_util::poll;
use steeple::{Error, Execution, Kind, Options, Response, Router, router::Handler};
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn};

use crate::{
    ask, client, client_of, is_alive, refusal, request as value,
    support::{RawPeer, request, serve, settle},
};

#[tokio::test]
async fn a_function_that_blocks_for_ever_holds_up_no_other_route() {
    let (release, hold) = mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    let router = Router::new()
        .route(
            "Stuck",
            (move || hold.lock().unwrap().recv().is_err()).blocking(),
        )
        .route("Echo", |text: String| text);
    let channel = client(router);
    let stuck = channel.clone().call(value("Stuck", ()));
    for _ in 0..100 {
        assert_eq!(ask::<_, String>(&channel, "Echo", "x").await.unwrap(), "x");
    }
    drop(release);
    stuck.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_and_one_that_never_answers_hold_up_no_other_route() {
    let panics = |_: String| -> u8 { panic!("boom") };
    let router = Router::new()
        .route("Panics", panics)
        .route("PanicsSpawned", panics.spawned())
        .route("PanicsBlocking", panics.blocking())
        .route("Never", async || std::future::pending::<()>().await)
        .route("Echo", |text: String| text);
    let channel = client(router);
    let never = channel.clone().call(value("Never", ()));
    for method in ["Panics", "PanicsSpawned", "PanicsBlocking"] {
        let error = refusal(&channel, method, "x").await;
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Internal, Execution::MaybeExecuted)
        );
        assert_eq!(ask::<_, String>(&channel, "Echo", "x").await.unwrap(), "x");
    }
    drop(never);
    is_alive(&channel).await;
}

/// Keeps its thread, and the requests behind it, for far longer than a route may.
fn burn() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(10) {
        std::hint::spin_loop();
    }
}

/// Whether a call of `method` that comes together with another one is answered in place, and so before it.
async fn is_in_place(client: &mut RawPeer, id: u32, method: &str) -> bool {
    let calls = [request(id, method), request(id + 2, "Other")];
    client.send_all(calls).await;
    let answers = [client.frame().await, client.frame().await];
    answers[0].id == id
}

#[tokio::test]
async fn a_route_that_keeps_its_thread_is_moved_off_once_that_is_seen() {
    // A service, which is never moved off.
    let other = service_fn(async |_| Ok::<_, Error>(Response::default()));
    let router = Router::new()
        .route("Burn", burn)
        .route_service("Other", other);
    let (mut client, _server) = serve(Options::new(), router);
    client.shake_hands().await;
    assert!(is_in_place(&mut client, 2, "Burn").await);
    for id in [6, 10, 14] {
        assert!(!is_in_place(&mut client, id, "Burn").await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fast_route_stays_in_place_and_a_spawned_one_never_is() {
    let router = Router::new()
        .route("Fast", async || ())
        .route("Spawned", (|| ()).spawned())
        .route("Other", || ());
    let (mut client, _server) = serve(Options::new(), router);
    client.shake_hands().await;
    for id in (2..1000).step_by(8) {
        assert!(is_in_place(&mut client, id, "Fast").await);
        assert!(!is_in_place(&mut client, id + 4, "Spawned").await);
    }
}

#[tokio::test]
async fn a_blocking_function_runs_on_another_thread_and_an_async_one_too() {
    let here = thread::current().id();
    let elsewhere = move || thread::current().id() != here;
    let late = move || async move {
        settle().await;
        elsewhere()
    };
    let router = Router::new()
        .route("Plain", elsewhere.blocking())
        .route("Async", late.blocking())
        .route("InPlace", elsewhere);
    let channel = client(router);
    for (method, is_elsewhere) in [("Plain", true), ("Async", true), ("InPlace", false)] {
        let answer = ask::<_, bool>(&channel, method, ()).await.unwrap();
        assert_eq!(answer, is_elsewhere, "{method}");
    }
}

#[test]
fn a_blocking_function_whose_call_is_cancelled_before_it_began_never_begins() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (began, begun) = mpsc::channel();
        let (release, hold) = mpsc::channel::<()>();
        let hold = Mutex::new(hold);
        let function = move |n: u32| {
            began.send(n).unwrap();
            hold.lock().unwrap().recv().is_err()
        };
        let router = Router::new().route("Block", function.blocking());
        let mut first = pin!(router.clone().oneshot(value("Block", 1)));
        let mut second = Box::pin(router.clone().oneshot(value("Block", 2)));
        let third = router.oneshot(value("Block", 3));
        assert!(poll!(first.as_mut()).is_pending());
        assert!(poll!(second.as_mut()).is_pending());
        drop(second);
        drop(release);
        first.await.unwrap();
        third.await.unwrap();
        assert_eq!(begun.iter().collect::<Vec<_>>(), [1, 3]);
    });
}

#[test]
fn ten_thousand_blocking_calls_take_turns_on_a_few_threads_and_are_all_answered() {
    const THREADS: usize = 4;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(THREADS)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (began, begun) = mpsc::channel();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let open = gate.clone();
        let function = move || {
            began.send(()).unwrap();
            let (is_open, opened) = &*open;
            drop(opened.wait_while(is_open.lock().unwrap(), |open| !*open));
        };
        let router = Router::new()
            .route("Block", function.blocking())
            .route("Echo", |text: String| text);
        let options = Options::new().max_handlers(20_000);
        let channel = client_of(options, router);
        let calls = (0..10_000).map(|_| channel.clone().call(value("Block", ())));
        let calls: Vec<_> = calls.collect();
        // All have arrived when one that came after them is answered, which no thread keeps from it.
        is_alive(&channel).await;
        assert_eq!(channel.stats().in_flight, 10_000);
        (0..THREADS).for_each(|_| begun.recv().unwrap());
        assert!(begun.try_recv().is_err());
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(
            begun.iter().take(10_000 - THREADS).count(),
            10_000 - THREADS
        );
    });
}

#[test]
fn blocking_calls_that_are_given_up_hold_nothing_though_all_threads_are_stuck() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (release, hold) = mpsc::channel::<()>();
        let hold = Mutex::new(hold);
        let function = move || hold.lock().unwrap().recv().is_err();
        let router = Router::new().route("Block", function.blocking());
        let mut first = pin!(router.clone().oneshot(value("Block", ())));
        assert!(poll!(first.as_mut()).is_pending());
        // More than any number of callers that wait.
        let held = Arc::new(());
        let mut refused = None;
        for _ in 0..100_000 {
            let mut request = value("Block", ());
            request.extensions_mut().insert(held.clone());
            let mut call = Box::pin(router.clone().oneshot(request));
            if let Poll::Ready(answer) = poll!(call.as_mut()) {
                refused = answer.err();
                break;
            }
        }
        assert_eq!(Arc::strong_count(&held), 1);
        let refused = refused.expect("the queue is bounded");
        assert_eq!(
            (refused.kind(), refused.execution()),
            (Kind::Overflow, Execution::NotStarted)
        );
        drop(release);
        first.await.unwrap();
    });
}

#[tokio::test(start_paused = true)]
async fn a_function_in_place_is_called_at_once_and_what_is_async_or_elsewhere_begins_when_it_is_polled()
 {
    let ran = Arc::new(Mutex::new(0));
    let count = || {
        let ran = ran.clone();
        move || *ran.lock().unwrap() += 1
    };
    let later = count();
    let later = move || {
        let later = later.clone();
        async move { later() }
    };
    let mut router = Router::new()
        .route("Plain", count())
        .route("Async", later)
        .route("Spawned", count().spawned())
        .route("Ordered", count().ordered())
        .route("Blocking", count().blocking());
    for (method, at_once) in [
        ("Plain", 1),
        ("Async", 0),
        ("Spawned", 0),
        ("Ordered", 0),
        ("Blocking", 0),
    ] {
        let call = router.call(value(method, ()));
        assert_eq!(*ran.lock().unwrap(), at_once, "{method}");
        call.await.unwrap();
        assert_eq!(std::mem::take(&mut *ran.lock().unwrap()), 1, "{method}");
    }
}
