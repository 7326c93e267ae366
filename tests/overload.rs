//! A server that is asked for more than it can do, over the network in memory: time is simulated, and all chance seeded.
//! Handlers take ten times as long as those of the example `overload`, since timers count milliseconds; so does all else.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use steeple::{
    Body, Channel, Connector, Error, Execution, Kind, Request, Response, RpcService, Server,
    layers::{
        AdmissionLayer, RateLimitLayer,
        admission::{Limit, Priority},
        rate_limit::Rate,
    },
    test::probe,
    transport::mem::MemNetwork,
};
use tokio::{
    sync::Semaphore,
    task::LocalSet,
    time::{Instant, interval, sleep},
};
use tower::{Layer, Service, ServiceBuilder, service_fn};

const WORKERS: usize = 16;

/// 16 workers that take 15 ms on average.
const CAPACITY: u64 = 1066;

const DEADLINE: Duration = Duration::from_millis(500);

/// How long a load lasts.
const STAGE: Duration = Duration::from_secs(4);

/// Within this a call that is not served is told so: a millisecond, if handlers take one or two.
const TOLD: Duration = Duration::from_millis(10);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An admission with ten times its usual times.
fn admission() -> AdmissionLayer {
    AdmissionLayer::new(Limit::fixed(WORKERS))
        .target(AdmissionLayer::TARGET * 10)
        .interval(AdmissionLayer::INTERVAL * 10)
}

/// Handlers that need one of the workers for 10 to 20 ms.
fn handlers() -> impl RpcService<Error = Error> + Clone + Send + 'static {
    let workers = Arc::new(Semaphore::new(WORKERS));
    service_fn(move |_: Request| {
        let workers = workers.clone();
        async move {
            let _worker = workers.acquire_owned().await;
            sleep(millis(fastrand::u64(10..=20))).await;
            Ok::<_, Error>(Response::new(Body::empty()))
        }
    })
}

/// A client of a server of this service.
async fn connect(service: impl RpcService + Clone + Send + 'static) -> Channel {
    let network = MemNetwork::new(1);
    let listener = network.listen("server").unwrap();
    drop(Server::new(listener).spawn(service));
    let mut connector = Connector::new().dialer(network.dialer("client"));
    connector
        .call("mem://server".parse().unwrap())
        .await
        .unwrap()
}

/// What became of a call that began at this time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct End {
    began: Duration,
    took: Duration,
    /// Nothing, or how far a call got that failed.
    failed: Option<Execution>,
}

/// Puts so many calls per second on a server, for a while.
async fn load(channel: &Channel, rate: u64, lasts: Duration) -> Vec<End> {
    let local = LocalSet::new();
    let ends = Rc::new(RefCell::new(Vec::new()));
    let start = Instant::now();
    let begin_all = async {
        let mut tick = interval(millis(1));
        let mut sent = 0;
        while start.elapsed() < lasts {
            let began = tick.tick().await - start;
            let due = u64::try_from(began.as_micros()).unwrap() * rate / 1_000_000;
            while sent < due {
                sent += 1;
                let (mut channel, ends) = (channel.clone(), ends.clone());
                tokio::task::spawn_local(async move {
                    let request = Request::new("Work", Body::empty()).with_timeout(DEADLINE);
                    let failed = channel
                        .call(request)
                        .await
                        .err()
                        .map(|error| error.execution());
                    let took = start.elapsed() - began;
                    ends.borrow_mut().push(End {
                        began,
                        took,
                        failed,
                    });
                });
            }
        }
    };
    local.run_until(begin_all).await;
    local.await;
    ends.take()
}

/// How many were answered per second.
fn goodput(ends: &[End]) -> u64 {
    let answered = ends.iter().filter(|end| end.failed.is_none()).count();
    answered as u64 / STAGE.as_secs()
}

/// Within what time so many of a hundred that were not served have been told so.
fn told(ends: &[End], percent: usize) -> Duration {
    let refused = ends.iter().filter(|end| end.failed.is_some());
    let mut told: Vec<_> = refused.map(|end| end.took).collect();
    told.sort_unstable();
    told[(told.len() - 1) * percent / 100]
}

#[tokio::test(start_paused = true)]
async fn a_server_under_any_load_does_nearly_all_it_can_and_tells_the_others_at_once() {
    for times in [2, 5, 10] {
        fastrand::seed(times);
        let layer = admission();
        let service = ServiceBuilder::new()
            .layer(layer.clone())
            .service(handlers());
        let channel = connect(service).await;
        let ends = load(&channel, times * CAPACITY, STAGE).await;

        let share = goodput(&ends) * 100 / CAPACITY;
        assert!(
            share >= 90,
            "{share} % of what can be done at {times} times the load"
        );
        let unsure = ends
            .iter()
            .filter(|end| end.failed.is_some_and(|failed| !failed.is_safe_to_repeat()));
        assert!(
            unsure.count() * 100 <= ends.len(),
            "whoever is not served is told that nothing has run"
        );
        let (half, most) = (told(&ends, 50), told(&ends, 99));
        assert!(
            half <= TOLD && most <= TOLD,
            "told after {half:?}, {most:?} at {times} times the load"
        );
        assert!(layer.stats().waiting <= WORKERS / 4);

        // The load is over, and a light one finds everything as it was.
        let ends = load(&channel, CAPACITY / 2, STAGE).await;
        let last = ends
            .iter()
            .filter(|end| end.failed.is_some())
            .map(|end| end.began)
            .max();
        assert_eq!(last, None, "after {times} times the load");
        assert!(!layer.stats().is_overloaded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_queue_serves_calls_that_are_of_no_use_any_more() {
    fastrand::seed(1);
    let service = ServiceBuilder::new()
        .concurrency_limit(WORKERS)
        .service(handlers());
    let channel = connect(service).await;
    let ends = load(&channel, 2 * CAPACITY, STAGE).await;
    let share = goodput(&ends) * 100 / CAPACITY;
    assert!(share < 50, "{share} % of what can be done");
}

#[tokio::test(start_paused = true)]
async fn what_is_worth_more_is_served_whatever_else_comes() {
    fastrand::seed(3);
    let layer = admission().priority(|request: &Request| {
        match request
            .metadata()
            .get("tier")
            .is_some_and(|tier| tier == "gold")
        {
            true => Priority::Important,
            false => Priority::Normal,
        }
    });
    let mut channel = connect(layer.layer(handlers())).await;
    let mut gold = channel.clone();
    let flood = async { load(&channel.clone(), 5 * CAPACITY, STAGE).await };
    let important = async {
        let mut failed = 0;
        for _ in 0..100 {
            let mut request = Request::new("Work", Body::empty()).with_timeout(DEADLINE);
            request.metadata_mut().insert("tier", "gold");
            failed += usize::from(gold.call(request).await.is_err());
            sleep(millis(20)).await;
        }
        failed
    };
    let (_, failed) = tokio::join!(flood, important);
    assert_eq!(failed, 0);
    channel
        .call(Request::new("Work", Body::empty()))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_reading_while_all_its_calls_wait() {
    let layer = AdmissionLayer::new(Limit::fixed(1));
    let hang = service_fn(|request: Request| async move {
        if request.method() == "Hang" {
            std::future::pending::<()>().await;
        }
        Ok::<_, Error>(Response::new(Body::empty()))
    });
    let mut channel = connect(layer.layer(hang)).await;
    let mut calls: Vec<_> = (0..100)
        .map(|_| channel.call(Request::new("Hang", Body::empty())))
        .collect();
    sleep(millis(10)).await;
    assert_eq!((layer.stats().running, layer.stats().waiting), (1, 99));
    // Each cancel was read, and leaves neither a call that runs nor one that waits.
    calls.clear();
    sleep(millis(10)).await;
    assert_eq!((layer.stats().running, layer.stats().waiting), (0, 0));
    channel
        .call(Request::new("Get", Body::empty()))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_when_its_rate_allows_another_call() {
    let limit = RateLimitLayer::new(Rate::per_second(2).burst(1))
        .max_waiting(0)
        .by(|request: &Request| request.metadata().get("user").cloned());
    let mut channel = connect(limit.layer(handlers())).await;
    let mut call = |user: &'static str| {
        let mut request = Request::new("Work", Body::empty());
        request.metadata_mut().insert("user", user);
        channel.call(request)
    };
    call("ada").await.unwrap();
    let error = call("ada").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::NotStarted)
    );
    let wait = error.retry_after().unwrap();
    assert!(wait <= millis(500), "{wait:?}");
    call("bob").await.unwrap();
    sleep(wait).await;
    call("ada").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn both_keep_the_contract_over_requests_of_the_wire() {
    let request = || Request::new("Probe", Body::empty());
    let limit = RateLimitLayer::new(Rate::per_second(1000));
    probe(&admission(), request, || Response::new(Body::empty()))
        .await
        .unwrap();
    probe(&limit, request, || Response::new(Body::empty()))
        .await
        .unwrap();
}
