//! Every layer passes the probe, and layers that are broken in well-known ways do not.

use std::{
    any::type_name,
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use steeple_layers::{
    AdmissionLayer, BalanceLayer, BreakerLayer, BreakerPolicy, CatchPanicLayer, CoalesceLayer,
    DrainLayer, Error, FallbackLayer, FaultLayer, HedgeLayer, InheritLayer, LogLayer, PolicyLayer,
    RateLimitLayer, ReconnectLayer, Replicas, RetryLayer, TimeoutLayer,
    admission::Limit,
    explain::{Opaque, OpaqueLayer},
    policies::{MethodPolicies, MethodPolicy},
    rate_limit::Rate,
    resolve::Fixed,
    test::{Report, Simulated, probe},
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, layer::layer_fn, limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer, service_fn, util::BoxCloneService,
};

use super::{
    sources,
    support::{Call, Script},
};

async fn check<L>(layer: &L) -> Result<(), Report>
where
    L: Layer<Simulated<&'static str>>,
    L::Service: Service<Call> + Clone,
{
    // Where a replica is broken, a call waits for another.
    let request = || {
        Call::new("Probe")
            .idempotent()
            .within(Duration::from_secs(5))
    };
    probe(layer, request, || "answer").await
}

/// Probes layers, and keeps their names.
#[derive(Default)]
struct Probed(BTreeSet<String>);

impl Probed {
    async fn check<L>(&mut self, layer: &L)
    where
        L: Layer<Simulated<&'static str>>,
        L::Service: Service<Call> + Clone,
    {
        let path = type_name::<L>().split('<').next().unwrap();
        let name = path.rsplit("::").next().unwrap();
        self.check_as(name, layer).await;
    }

    async fn check_as<L>(&mut self, name: &str, layer: &L)
    where
        L: Layer<Simulated<&'static str>>,
        L::Service: Service<Call> + Clone,
    {
        check(layer)
            .await
            .unwrap_or_else(|report| panic!("{name}: {report}"));
        self.0.insert(name.to_owned());
    }
}

/// The replica set of one that is a simulated service.
fn replica(inner: Inner) -> Replicas<Inner> {
    Replicas::new(Fixed::one("simulated"), connector(inner))
}

fn connector(
    inner: Inner,
) -> impl Service<&'static str, Response = Inner, Error = Error, Future: Send> + Clone + Send + Sync
{
    service_fn(move |_| std::future::ready(Ok(inner.clone())))
}

#[tokio::test(start_paused = true)]
async fn every_layer_keeps_the_contract() {
    let (ms, second) = (Duration::from_millis(1), Duration::from_secs(1));
    let mut all = Probed::default();
    for limit in [Limit::fixed(1), Limit::fixed(3), Limit::adaptive(1..=9)] {
        all.check(&AdmissionLayer::new(limit)).await;
    }
    let refusing = AdmissionLayer::new(Limit::fixed(1)).max_waiting(0);
    all.check(&refusing).await;
    let balance = layer_fn(|inner| BalanceLayer::default().layer(replica(inner)));
    all.check_as("BalanceLayer", &balance).await;
    let reconnect = layer_fn(|inner| ReconnectLayer::new("simulated").layer(connector(inner)));
    all.check_as("ReconnectLayer", &reconnect).await;
    all.check(&BreakerLayer::default()).await;
    let hasty = BreakerLayer::new(BreakerPolicy::new().failures(1));
    all.check(&hasty).await;
    all.check(&CatchPanicLayer::new()).await;
    all.check(&CoalesceLayer::new(|_: &Call| Some(7))).await;
    all.check(&CoalesceLayer::new(|_: &Call| None::<()>)).await;
    all.check(&DrainLayer::new()).await;
    all.check(&FallbackLayer::with(|_, _| Some("instead")))
        .await;
    let simulated = layer_fn(|inner: Inner| FallbackLayer::service(inner.clone()).layer(inner));
    all.check_as("FallbackLayer", &simulated).await;
    let faults = || FaultLayer::new(1);
    all.check(&faults()).await;
    all.check(&faults().delay(0.5, ms).repeat(2)).await;
    let failing = faults().fail(0.3, || Error::application(1, ""));
    all.check(&failing.lose_answer(0.3)).await;
    // A call that is lost hangs, as is meant.
    let losing = ServiceBuilder::new()
        .layer(TimeoutLayer::per_attempt(100 * ms))
        .layer(faults().lose_call(0.3).disconnect(0.3, || {}));
    all.check_as("FaultLayer", &losing.into_inner()).await;
    all.check(&HedgeLayer::after(second)).await;
    // While the first attempt runs, of which a simulated service has room for.
    all.check(&HedgeLayer::after(Duration::ZERO).hedges(3))
        .await;
    all.check(&HedgeLayer::percentile(99.0, Duration::ZERO))
        .await;
    all.check(&InheritLayer::new()).await;
    all.check(&LogLayer::new()).await;
    let foreign = layer_fn(|inner| OpaqueLayer::new(LogLayer::new()).layer(Opaque::new(inner)));
    all.check_as("OpaqueLayer", &foreign).await;
    let policies = MethodPolicies::new([("*", MethodPolicy::new().deadline(second))]);
    all.check(&PolicyLayer::new(policies.unwrap())).await;
    let rate = Rate::per_second(100).burst(2);
    all.check(&RateLimitLayer::new(rate)).await;
    let by_attempt = RateLimitLayer::new(rate).by(|call: &Call| call.cx.attempt());
    all.check(&by_attempt.max_waiting(1)).await;
    all.check(&RetryLayer::default()).await;
    all.check(&TimeoutLayer::default()).await;
    all.check(&TimeoutLayer::per_attempt(second)).await;
    assert_eq!(all.0, sources::layers_in("src"), "probed, and there are");
}

#[test]
fn every_layer_has_a_row_in_the_table() {
    assert_eq!(sources::rows_in("src/lib.rs"), sources::layers_in("src"));
}

#[tokio::test(start_paused = true)]
async fn whole_stacks_keep_the_contract_and_so_do_towers_limits() {
    let client = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(TimeoutLayer::default())
        .layer(RetryLayer::default())
        .layer(TimeoutLayer::per_attempt(Duration::from_secs(1)));
    check(&client.into_inner()).await.unwrap();
    let hedged = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(HedgeLayer::after(Duration::from_millis(1)))
        .layer(BreakerLayer::default());
    check(&hedged.into_inner()).await.unwrap();
    let sharing = ServiceBuilder::new()
        .layer(FallbackLayer::with(|_, _| Some("instead")))
        .layer(CoalesceLayer::new(|_: &Call| Some(())))
        .layer(RetryLayer::default());
    check(&sharing.into_inner()).await.unwrap();
    let server = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(LogLayer::new())
        .layer(InheritLayer::new())
        .layer(ConcurrencyLimitLayer::new(1));
    check(&server.into_inner()).await.unwrap();
    check(&LoadShedLayer::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stack_over_a_boxed_service_goes_to_any_thread() {
    // It is `Send` and not `Sync`, which is what a service with a name often is.
    let boxed: BoxCloneService<Call, usize, Error> = BoxCloneService::new(Script::default());
    let stack = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(LogLayer::new())
        .layer(TimeoutLayer::default())
        .layer(RetryLayer::default())
        .layer(FaultLayer::new(1))
        .layer(InheritLayer::new())
        .layer(RateLimitLayer::new(Rate::per_second(1)))
        .layer(AdmissionLayer::new(Limit::fixed(1)))
        .service(boxed);
    let call = tokio::spawn(stack.oneshot(Call::new("Get")));
    assert_eq!(call.await.unwrap().unwrap(), 1);
}

/// The lines of the report on a broken layer.
async fn faults<L>(layer: L) -> String
where
    L: Layer<Simulated<&'static str>>,
    L::Service: Service<Call> + Clone,
{
    let report = check(&layer).await.unwrap_err();
    assert!(report.faults() > 0);
    report.to_string()
}

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// A service whose `call` and `poll_ready` are functions.
#[derive(Clone)]
struct Broken<S, T> {
    inner: S,
    ready: fn(&mut S, &mut Context<'_>) -> Poll<Result<(), Error>>,
    call: fn(&mut S, Call) -> Boxed<T>,
}

impl<S, T> Service<Call> for Broken<S, T> {
    type Response = T;
    type Error = Error;
    type Future = Boxed<T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        (self.ready)(&mut self.inner, cx)
    }

    fn call(&mut self, call: Call) -> Boxed<T> {
        (self.call)(&mut self.inner, call)
    }
}

type Inner = Simulated<&'static str>;

fn asks(inner: &mut Inner, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
    Service::<Call>::poll_ready(inner, cx)
}

fn calls(inner: &mut Inner, call: Call) -> Boxed<&'static str> {
    Box::pin(inner.call(call))
}

fn broken(
    ready: fn(&mut Inner, &mut Context<'_>) -> Poll<Result<(), Error>>,
    call: fn(&mut Inner, Call) -> Boxed<&'static str>,
) -> impl Layer<Inner, Service = Broken<Inner, &'static str>> {
    layer_fn(move |inner| Broken { inner, ready, call })
}

#[tokio::test(start_paused = true)]
async fn what_breaks_nothing_is_not_reported() {
    check(&broken(asks, calls)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calling_a_clone_is_reported() {
    let text = faults(broken(asks, |inner, call| {
        let mut clone = inner.clone();
        Box::pin(async move { clone.call(call).await })
    }))
    .await;
    assert!(
        text.contains("called a service that was not ready"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn being_ready_without_asking_is_reported() {
    let text = faults(broken(|_, _| Poll::Ready(Ok(())), calls)).await;
    assert!(
        text.contains("called a service that was not ready"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_on_a_service_that_was_not_made_ready_again_is_reported() {
    let text = faults(broken(asks, |inner, call| {
        let clone = inner.clone();
        let mut ready = std::mem::replace(inner, clone);
        Box::pin(async move {
            match ready.call(call.clone()).await {
                Err(_) => ready.call(call).await,
                answer => answer,
            }
        })
    }))
    .await;
    assert!(
        text.contains("fails at first: called a service that was not ready"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_on_in_a_task_is_reported() {
    let text = faults(broken(asks, |inner, call| {
        let task = tokio::spawn(inner.call(call));
        Box::pin(async move { task.await.unwrap() })
    }))
    .await;
    assert!(
        text.contains("a call was still running when its future had been dropped"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_clones_share_is_reported() {
    #[derive(Clone)]
    struct Shared(Arc<Mutex<Inner>>);

    impl Service<Call> for Shared {
        type Response = &'static str;
        type Error = Error;
        type Future = Boxed<&'static str>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            asks(&mut self.0.lock().unwrap(), cx)
        }

        fn call(&mut self, call: Call) -> Self::Future {
            calls(&mut self.0.lock().unwrap(), call)
        }
    }

    let text = faults(layer_fn(|inner| Shared(Arc::new(Mutex::new(inner))))).await;
    assert!(text.contains("a grant was still held"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_that_is_lost_is_reported() {
    let text = faults(broken(
        |inner, _| asks(inner, &mut Context::from_waker(std::task::Waker::noop())),
        calls,
    ))
    .await;
    assert!(text.contains("calls hang"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_let_go_is_reported() {
    let text = faults(broken(asks, |inner, call| {
        std::mem::forget(inner.call(call));
        Box::pin(std::future::ready(Ok("something")))
    }))
    .await;
    assert!(text.contains("a call was still running"), "{text}");
}
