//! The layers of a client make no allocation for a call that succeeds, after the first.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::measure;
use steeple_layers::{
    AdmissionLayer, BreakerLayer, BreakerPolicy, Carry, CatchPanicLayer, CoalesceLayer, DrainLayer,
    Error, FallbackLayer, HedgeLayer, InheritLayer, LogLayer, PolicyLayer, RateLimitLayer, Replay,
    RetryLayer, TimeoutLayer,
    admission::Limit,
    breaker::Circuits,
    policies::{MethodPolicies, MethodPolicy},
    rate_limit::Rate,
};
use tokio::runtime::Builder;
use tower::{Layer, Service, ServiceBuilder};

#[derive(Clone)]
struct Call(steeple_layers::Context);

impl Carry for Call {
    fn cx(&self) -> &steeple_layers::Context {
        &self.0
    }

    fn cx_mut(&mut self) -> &mut steeple_layers::Context {
        &mut self.0
    }
}

impl Replay for Call {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// Answers at the second poll.
#[derive(Clone)]
struct PendingOnce;

struct Answering(bool);

impl Service<Call> for PendingOnce {
    type Response = ();
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Answering {
        Answering(false)
    }
}

impl Future for Answering {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Pending,
            true => Poll::Ready(Ok(())),
        }
    }
}

#[test]
fn the_layers_of_a_client_make_no_allocation_for_a_call_that_succeeds() {
    let client = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(TimeoutLayer::default())
        .layer(RetryLayer::default())
        .layer(HedgeLayer::percentile(99.0, Duration::from_secs(1)).idempotent(["Echo"]))
        .layer(TimeoutLayer::per_attempt(Duration::from_secs(2)))
        .service(PendingOnce);
    makes_no_allocation(client);
}

#[test]
fn the_layers_of_a_server_make_no_allocation_for_a_call_that_does_not_wait() {
    let server = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(TimeoutLayer::without_default().cap(Duration::from_secs(2)))
        .layer(InheritLayer::new())
        .layer(RateLimitLayer::new(Rate::per_second(1_000_000)))
        .layer(AdmissionLayer::new(Limit::adaptive(1..=10)))
        .service(PendingOnce);
    makes_no_allocation(server);
}

#[test]
fn nor_do_those_that_refuse_redirect_or_decide() {
    let policies = MethodPolicies::new([("Echo", MethodPolicy::new().idempotent(true))]).unwrap();
    let rate = Rate::per_second(1_000_000);
    let stack = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(PolicyLayer::new(policies))
        .layer(DrainLayer::new())
        .layer(FallbackLayer::with(|_, _| None))
        .layer(RateLimitLayer::new(rate).by(|call: &Call| call.0.method().clone()))
        .layer(BreakerLayer::default())
        .layer(BreakerLayer::per_method(Circuits::new(
            BreakerPolicy::new().ratio(0.5, 20),
        )))
        .service(PendingOnce);
    makes_no_allocation(stack);
}

#[test]
fn a_call_that_others_may_share_makes_five() {
    let layer = CoalesceLayer::new(|call: &Call| Some(call.0.method().clone()));
    makes_allocations(layer.layer(PendingOnce), 5);
}

fn makes_no_allocation(service: impl Service<Call>) {
    makes_allocations(service, 0);
}

fn makes_allocations(mut service: impl Service<Call>, each: u64) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let mut call = || {
        let request = Call(steeple_layers::Context::new("Echo"));
        let mut answer = pin!(service.call(request));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(answer.as_mut().poll(&mut cx).is_pending());
        assert!(answer.as_mut().poll(&mut cx).is_ready());
    };
    runtime.block_on(poll_fn(|_| {
        call();
        let counted = measure(|| (0..100).for_each(|_| call()));
        assert_eq!(counted.count_total, 100 * each, "{counted:?}");
        Poll::Ready(())
    }));
}
