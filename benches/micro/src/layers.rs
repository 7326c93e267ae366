//! A layer around a service that does nothing and answers at the second poll: what it costs is what a call through it takes
//! longer than one without a layer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use steeple::layers::admission::Limit;
use steeple::layers::breaker::Circuits;
use steeple::layers::policies::{MethodPolicies, MethodPolicy};
use steeple::layers::rate_limit::Rate;
use steeple::layers::{
    AdmissionLayer, AuthLayer, BreakerLayer, BreakerPolicy, CatchPanicLayer, CoalesceLayer,
    DrainLayer, FallbackLayer, HedgeLayer, InheritLayer, LogLayer, PolicyLayer, RateLimitLayer,
    RetryLayer, TimeoutLayer, TransformLayer,
};
use steeple::{Body, BoxError, Error, Method, Request, Response};
use tokio::runtime::{self, Runtime};
use tower::layer::util::Identity;
use tower::{Layer, Service};

use crate::{COUNT, Scenario};

/// A scenario for each.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let policy = MethodPolicy::new().idempotent(true);
    let policies = MethodPolicies::new([("Echo", policy), ("Other.*", policy)]);
    let policies = policies.expect("patterns");
    let circuits = Circuits::new(BreakerPolicy::default());
    let rate = Rate::per_second(u32::MAX);
    let ok = |bytes: Bytes| Ok::<_, BoxError>(bytes);
    vec![
        scenario("no layer", Identity::new()),
        scenario("layer, catch panic", CatchPanicLayer::new()),
        scenario("layer, log", LogLayer::new()),
        scenario("layer, policies", PolicyLayer::new(policies)),
        scenario("layer, timeout", TimeoutLayer::default()),
        scenario("layer, inherit", InheritLayer::new()),
        scenario("layer, admission", AdmissionLayer::new(Limit::fixed(8))),
        scenario("layer, rate limit", RateLimitLayer::new(rate)),
        scenario(
            "layer, rate limit by key",
            RateLimitLayer::new(rate).by(method),
        ),
        scenario("layer, drain", DrainLayer::new()),
        scenario("layer, retry", RetryLayer::default()),
        scenario(
            "layer, hedge",
            HedgeLayer::after(Duration::from_secs(1)).idempotent(["Echo"]),
        ),
        scenario(
            "layer, hedge by percentile",
            HedgeLayer::percentile(99.0, Duration::from_secs(1)).idempotent(["Echo"]),
        ),
        scenario("layer, breaker", BreakerLayer::default()),
        scenario(
            "layer, breaker per method",
            BreakerLayer::per_method(circuits),
        ),
        scenario("layer, fallback", FallbackLayer::with(|_, _| None)),
        scenario(
            "layer, coalesce",
            CoalesceLayer::new(|request: &Request| Some(method(request))),
        ),
        scenario("layer, auth", AuthLayer::new(|_: &mut Request| Ok(()))),
        scenario("layer, transform", TransformLayer::client(ok, ok)),
    ]
}

fn method(request: &Request) -> Method {
    request.cx().method().clone()
}

fn scenario<L>(name: &'static str, layer: L) -> Scenario
where
    L: Layer<Late>,
    L::Service: Service<Request, Response = Response, Error = Error> + 'static,
{
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without I/O");
    let mut service = layer.layer(Late);
    Scenario::new(name, move || run(&runtime, &mut service))
}

/// Makes its calls one after another.
fn run(runtime: &Runtime, service: &mut impl Service<Request, Response = Response, Error = Error>) {
    let mut cx = Context::from_waker(Waker::noop());
    runtime.block_on(poll_fn(|_| {
        for _ in 0..COUNT {
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut call = pin!(service.call(Request::new("Echo", Body::empty())));
            assert!(call.as_mut().poll(&mut cx).is_pending());
            assert!(matches!(call.as_mut().poll(&mut cx), Poll::Ready(Ok(_))));
        }
        Poll::Ready(())
    }));
}

/// The service.
#[derive(Clone)]
struct Late;

/// Its answer. Whether it was polled.
struct LateFuture(bool);

impl Service<Request> for Late {
    type Response = Response;
    type Error = Error;
    type Future = LateFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> LateFuture {
        LateFuture(false)
    }
}

impl Future for LateFuture {
    type Output = Result<Response, Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Pending,
            true => Poll::Ready(Ok(Response::default())),
        }
    }
}
