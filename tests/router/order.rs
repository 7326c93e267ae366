//! Ordered routes: one at a time, in the order of arrival.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use steeple::{Channel, Error, Kind, Router, router::Handler};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use crate::{
    ask, client, request,
    support::{settle, soon},
};
use tower::Service;

/// What handlers note as they begin and end.
type Notes = Arc<Mutex<Vec<String>>>;

/// A handler that waits a while, the first of them longest.
fn slow(
    notes: &Notes,
) -> impl Fn(u32) -> futures_util::future::BoxFuture<'static, ()> + Clone + use<> {
    let notes = notes.clone();
    move |n| {
        let notes = notes.clone();
        Box::pin(async move {
            notes.lock().unwrap().push(format!("{n} begins"));
            for _ in n..5 {
                settle().await;
            }
            notes.lock().unwrap().push(format!("{n} ends"));
        })
    }
}

/// Calls in the order given, without waiting for answers.
fn start(channel: &Channel, method: &'static str, n: u32) -> JoinHandle<Result<(), Error>> {
    let call = channel.clone().call(request(method, n));
    tokio::spawn(async move { call.await.map(drop) })
}

#[tokio::test(start_paused = true)]
async fn ordered_calls_of_a_connection_run_one_at_a_time_as_they_came_and_others_overtake() {
    let notes = Notes::default();
    let router = Router::new()
        .route("A", slow(&notes).ordered())
        .route("B", slow(&notes).ordered().spawned())
        .route("Free", |n: u32| n);
    let channel = client(router);
    let calls = [("A", 1), ("B", 2), ("A", 3), ("A", 4), ("B", 5)];
    let calls = calls.map(|(method, n)| start(&channel, method, n));
    assert_eq!(ask::<_, u32>(&channel, "Free", 9).await.unwrap(), 9);
    assert_eq!(*notes.lock().unwrap(), ["1 begins"]);
    for answer in soon(join_all(calls)).await {
        answer.unwrap().unwrap();
    }
    let expected = (1..=5).flat_map(|n| [format!("{n} begins"), format!("{n} ends")]);
    assert_eq!(*notes.lock().unwrap(), expected.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn another_connection_has_an_order_of_its_own() {
    let bell = Arc::new(Notify::new());
    let ring = bell.clone();
    let wait = move |first: bool| {
        let bell = ring.clone();
        async move {
            if first {
                bell.notified().await;
            }
        }
    };
    let router = Router::new().route("Wait", wait.ordered());
    let (held, other) = (client(router.clone()), client(router));
    let call = held.clone().call(request("Wait", true));
    ask::<_, ()>(&other, "Wait", false).await.unwrap();
    bell.notify_one();
    soon(call).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_in_the_line_lets_nobody_overtake() {
    let notes = Notes::default();
    let channel = client(Router::new().route("A", slow(&notes).ordered()));
    let first = start(&channel, "A", 1);
    let second = channel.clone().call(request("A", 2));
    let third = start(&channel, "A", 3);
    settle().await;
    drop(second);
    settle().await;
    assert_eq!(*notes.lock().unwrap(), ["1 begins"]);
    for call in [first, third] {
        soon(call).await.unwrap().unwrap();
    }
    let notes = notes.lock().unwrap();
    assert_eq!(*notes, ["1 begins", "1 ends", "3 begins", "3 ends"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_or_is_cancelled_gives_its_turn_on() {
    let handler = async |what: String| match what.as_str() {
        "panic" => panic!("boom"),
        "panic later" => {
            settle().await;
            panic!("boom")
        }
        "never" => std::future::pending().await,
        _ => {}
    };
    let channel = client(Router::new().route("A", handler.ordered()));
    for what in ["panic", "panic later"] {
        let error = crate::refusal(&channel, "A", what).await;
        assert_eq!(error.kind(), Kind::Internal);
    }
    let never = channel.clone().call(request("A", "never"));
    let next = channel.clone().call(request("A", "fine"));
    settle().await;
    drop(never);
    soon(next).await.unwrap();
}

#[tokio::test]
async fn a_blocking_ordered_call_keeps_its_turn_until_its_function_ends_though_nobody_waits() {
    let (began, mut begun) = mpsc::unbounded_channel();
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    let function = move |n: u32| {
        began.send(n).unwrap();
        hold.lock().unwrap().recv().unwrap();
    };
    let channel = client(
        Router::new()
            .route("A", function.blocking().ordered())
            .route("Free", || ()),
    );
    let first = channel.clone().call(request("A", 1));
    assert_eq!(begun.recv().await, Some(1));
    drop(first);
    let second = channel.clone().call(request("A", 2));
    ask::<_, ()>(&channel, "Free", ()).await.unwrap();
    assert!(begun.try_recv().is_err());
    release.send(()).unwrap();
    assert_eq!(begun.recv().await, Some(2));
    release.send(()).unwrap();
    second.await.unwrap();
}
