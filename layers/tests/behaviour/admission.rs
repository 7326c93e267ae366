use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use steeple_layers::{
    AdmissionLayer, Error, Execution, Kind,
    admission::{Limit, Priority, Stats},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, advance, sleep, timeout},
};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::support::{Call, Script, Step, millis, seconds};

/// A service whose calls take 10 ms.
fn slow() -> Script {
    Script::new((0..10_000).map(|_| Step::Late(millis(10))))
}

/// Lets all tasks do what they can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn spawn<S>(service: &S, call: Call) -> JoinHandle<Result<S::Response, Error>>
where
    S: Service<Call, Error = Error> + Clone + Send + 'static,
    S::Response: Send,
    S::Future: Send,
{
    tokio::spawn(service.clone().oneshot(call))
}

#[tokio::test(start_paused = true)]
async fn no_more_run_than_may_and_the_others_follow_in_turn() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (running.clone(), most.clone());
    let inner = service_fn(move |_: Call| {
        let (now, peak) = (now.clone(), peak.clone());
        async move {
            peak.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
            sleep(millis(1)).await;
            now.fetch_sub(1, Relaxed);
            Ok::<_, Error>(())
        }
    });
    let layer = AdmissionLayer::new(Limit::fixed(3));
    // Two services of one layer are as two connections of a server.
    let services = [layer.layer(inner.clone()), layer.layer(inner)];
    let calls: Vec<_> = (0..30)
        .map(|at| spawn(&services[at % 2], Call::new("Get")))
        .collect();
    let start = Instant::now();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(most.load(Relaxed), 3);
    assert_eq!(start.elapsed(), millis(10));
    let stats = layer.stats();
    assert_eq!((stats.admitted, stats.running, stats.waiting), (30, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_told_before_its_deadline_that_it_did_not_start() {
    let script = Script::new([Step::Hang]);
    let layer = AdmissionLayer::new(Limit::fixed(1));
    let service = layer.layer(script.clone());
    let _running = spawn(&service, Call::new("Hang"));
    settle().await;
    let start = Instant::now();
    let error = service
        .oneshot(Call::new("Get").within(millis(50)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::NotStarted)
    );
    assert_eq!(start.elapsed(), millis(48));
    assert_eq!(script.attempts(), 1);
    assert_eq!(layer.stats().expired, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_too_late_is_refused_though_there_is_room() {
    let layer = AdmissionLayer::new(Limit::fixed(1));
    let script = Script::default();
    let call = Call::new("Get").within(millis(1));
    advance(millis(2)).await;
    let mut fresh = Call::new("Get");
    fresh.cx.set_deadline(call.cx.deadline());
    let error = layer
        .layer(script.clone())
        .oneshot(fresh)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::NotStarted)
    );
    assert_eq!((script.attempts(), layer.stats().expired), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_the_queue_full_is_told_at_once_when_to_come_back() {
    let layer = AdmissionLayer::new(Limit::fixed(1))
        .max_waiting(2)
        .interval(millis(70));
    let service = layer.layer(slow());
    let calls = [(); 3].map(|()| spawn(&service, Call::new("Get")));
    settle().await;
    let start = Instant::now();
    let error = service.clone().oneshot(Call::new("Get")).await.unwrap_err();
    assert_eq!(start.elapsed(), millis(0));
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::NotStarted)
    );
    assert_eq!(error.retry_after(), Some(millis(70)));
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_higher_priority_goes_first_and_is_shed_last() {
    let layer = AdmissionLayer::new(Limit::fixed(1))
        .max_waiting(2)
        .priority(|call: &Call| match call.cx.method().as_str() {
            "Health" => Priority::Critical,
            "Report" => Priority::Background,
            _ => Priority::Normal,
        });
    let script = slow();
    let service = layer.layer(script.clone());
    let calls = ["Get", "Report", "Get"].map(|method| spawn(&service, Call::new(method)));
    settle().await;
    let health = spawn(&service, Call::new("Health"));
    let [first, report, second] = calls;
    let error = report.await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::NotStarted)
    );
    for call in [first, second, health] {
        call.await.unwrap().unwrap();
    }
    let played: Vec<_> = script
        .played()
        .calls
        .iter()
        .map(|cx| cx.method().to_string())
        .collect();
    assert_eq!(played, ["Get", "Health", "Get"]);
}

#[tokio::test(start_paused = true)]
async fn under_overload_the_newest_is_served_and_the_oldest_told() {
    let layer = AdmissionLayer::new(Limit::fixed(4));
    let service = layer.layer(slow());
    // Four every ten milliseconds can be served, and eight come.
    let mut calls = Vec::new();
    for number in 0..800 {
        calls.push((number, spawn(&service, Call::new("Get"))));
        if number % 4 == 3 {
            sleep(millis(5)).await;
        }
    }
    let Stats {
        is_overloaded,
        waiting,
        ..
    } = layer.stats();
    assert!(is_overloaded && waiting <= 1);
    let (mut served, mut told) = (0, 0);
    for (number, call) in calls {
        match call.await.unwrap() {
            Ok(_) => served += 1,
            Err(error) => {
                assert_eq!(error.execution(), Execution::NotStarted, "{number}");
                told += 1;
            }
        }
    }
    assert!((380..=420).contains(&served), "{served}");
    assert_eq!(told, 800 - served);
    sleep(millis(200)).await;
    assert!(!layer.stats().is_overloaded);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_leaves_no_hole() {
    let layer = AdmissionLayer::new(Limit::fixed(1));
    let mut service = layer.layer(Script::new([Step::Hang]));
    let mut start = |method| {
        let ready = task::spawn(service.ready()).poll().is_ready();
        assert!(ready);
        task::spawn(service.call(Call::new(method)))
    };
    let [mut running, mut first, mut second, mut third] = [(); 4].map(|()| start("Get"));
    assert_pending!(running.poll());
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_pending!(third.poll());
    drop(second);
    drop(running);
    assert!(first.is_woken());
    // Its turn has come, and it is dropped before it knows.
    drop(first);
    assert!(third.is_woken());
    assert_ready!(third.poll()).unwrap();
    assert_eq!(layer.stats().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_when_the_answer_is_there_and_not_when_its_future_goes() {
    let layer = AdmissionLayer::new(Limit::fixed(1)).max_waiting(0);
    let mut service = layer.layer(Script::default());
    let mut call: Pin<Box<dyn Future<Output = _>>> = Box::pin(service.call(Call::new("Get")));
    call.as_mut().await.unwrap();
    assert_eq!(layer.stats().running, 0);
    service.call(Call::new("Get")).await.unwrap();
    drop(call);
    assert_eq!(layer.stats().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_does_not_keep_the_service_from_being_ready() {
    let layer = AdmissionLayer::new(Limit::fixed(1));
    let mut service = layer.layer(Script::new([Step::Hang]));
    let _running = spawn(&service, Call::new("Hang"));
    settle().await;
    timeout(seconds(1), service.ready()).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_grows_while_calls_are_quick() {
    let layer = AdmissionLayer::new(Limit::adaptive(2..=40));
    let service = layer.layer(slow());
    assert_eq!(layer.stats().limit, 2);
    for _ in 0..300 {
        for _ in 0..40 {
            spawn(&service, Call::new("Get"));
        }
        sleep(millis(10)).await;
    }
    assert_eq!(layer.stats().limit, 40);
    assert!(layer.stats().running <= 40);
}

/// On real threads: what is decided on one concerns calls that are polled, dropped or late on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_place_is_lost_between_threads() {
    let layer = AdmissionLayer::new(Limit::fixed(4)).max_waiting(16);
    let service = layer.layer(service_fn(|_: Call| async {
        sleep(millis(1)).await;
        Ok::<_, Error>(())
    }));
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..300 {
        let calls: Vec<_> = (0..20)
            .map(|_| spawn(&service, Call::new("Get").within(millis(rng.u64(1..8)))))
            .collect();
        sleep(millis(1)).await;
        for call in calls {
            if rng.bool() {
                call.abort();
            }
            // It is answered, refused or gone.
            let _ = call.await;
        }
    }
    let stats = layer.stats();
    assert_eq!((stats.running, stats.waiting), (0, 0), "{stats:?}");
}
