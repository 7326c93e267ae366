//! What stacks tell of themselves.

use std::{convert::Infallible, time::Duration};

use steeple_layers::{
    AdmissionLayer, BreakerLayer, BreakerPolicy, CatchPanicLayer, Context, DrainLayer, Error,
    FallbackLayer, FaultLayer, HedgeLayer, InheritLayer, LogLayer, PolicyLayer, RateLimitLayer,
    RetryLayer, RetryPolicy, TimeoutLayer,
    admission::Limit,
    breaker::Circuit,
    explain::{Explain, Explanation, Opaque, OpaqueLayer},
    policies::{MethodPolicies, MethodPolicy},
    rate_limit::Rate,
    retry::{Budget, Policy},
    test::probe,
};
use tower::{
    Layer, Service, ServiceBuilder,
    limit::{self, ConcurrencyLimitLayer},
    load_shed::LoadShedLayer,
    service_fn,
    timeout::TimeoutLayer as TowersTimeoutLayer,
};
use tracing::level_filters::LevelFilter;

use super::support::{Call, Script, seconds};

fn told(service: &impl Explain) -> String {
    Explanation::of(service).to_string()
}

fn end() -> Opaque<Script> {
    Opaque::new(Script::default())
}

#[test]
fn every_layer_tells_what_is_set_of_it_in_order() {
    let policies = MethodPolicies::new([("*", MethodPolicy::new())]).unwrap();
    let stack = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(LogLayer::new())
        .layer(PolicyLayer::new(policies))
        .layer(TimeoutLayer::new(seconds(20)).cap(seconds(60)).kept_below())
        .layer(InheritLayer::new())
        .layer(DrainLayer::new())
        .layer(RetryLayer::new(
            RetryPolicy::new()
                .attempts(4)
                .budget(Budget::new(10, 1))
                .idempotent(["Get", "List"]),
        ))
        .layer(TimeoutLayer::per_attempt(Duration::from_millis(1500)))
        .layer(
            FaultLayer::new(1)
                .delay(0.5, seconds(1))
                .lose_call(0.01)
                .repeat(2),
        )
        .service(end());
    assert_eq!(
        told(&stack),
        "\
1. CatchPanic
2. Log: successes at DEBUG
3. Policies: 1 pattern
4. Timeout: 20s unless the call says; 60s at most; kept by what is inside
5. Inherit
6. Drain
7. Retry: 4 attempts; waits of 10ms to 1s; a budget of 10 % of calls and 1 a second; idempotent: Get, List
8. Timeout: 1.5s for each attempt
9. Fault: 50 % delayed; 1 % lost; repeated 2 times
10. Script
"
    );
}

#[tokio::test]
async fn other_settings_have_other_words() {
    #[derive(Clone)]
    struct Never;

    impl Policy for Never {
        fn retry(&self, _: &Context, _: &Error) -> Option<Duration> {
            None
        }
    }

    let drain = DrainLayer::new();
    let stack = ServiceBuilder::new()
        .layer(CatchPanicLayer::new().message(str::to_owned))
        .layer(LogLayer::new().success(LevelFilter::OFF))
        .layer(drain.clone())
        .layer(TimeoutLayer::without_default())
        .layer(RetryLayer::new(RetryPolicy::until_deadline().budget(None)))
        .service(end());
    drain.drain().await;
    assert_eq!(
        told(&stack),
        "\
1. CatchPanic: callers are told of the panic
2. Log: no successes
3. Drain: draining
4. Timeout
5. Retry: until the deadline; waits of 10ms to 1s; no budget
6. Script
"
    );
    let stack = RetryLayer::new(Never).layer(end());
    assert_eq!(told(&stack), "1. Retry: Never\n2. Script\n");
}

#[tokio::test]
async fn layers_with_a_state_tell_how_it_stands() {
    let circuit = Circuit::new(BreakerPolicy::default());
    let stack = ServiceBuilder::new()
        .layer(FallbackLayer::service(Script::default()))
        .layer(AdmissionLayer::new(Limit::fixed(8)))
        .layer(RateLimitLayer::new(Rate::per_second(100)))
        .layer(
            HedgeLayer::after(Duration::from_millis(50))
                .hedges(2)
                .idempotent(["Get"]),
        )
        .layer(BreakerLayer::of(circuit.clone()))
        .service(end());
    circuit.trip("by hand");
    assert_eq!(
        told(&stack),
        "\
1. Fallback
2. Admission: 8 at once, for now
3. RateLimit: 100 calls per 1s
4. Hedge: after 50ms; 2 hedges; a budget of 5 % of calls and 5 a second; idempotent: Get
5. Breaker: open until it is reset: by hand
6. Script
"
    );
}

#[tokio::test]
async fn towers_own_layers_are_known_by_name_and_those_inside_of_them_are_told() {
    let stack = ServiceBuilder::new()
        .layer(OpaqueLayer::new(limit::RateLimitLayer::new(5, seconds(1))))
        .layer(OpaqueLayer::new(LoadShedLayer::new()))
        .layer(OpaqueLayer::new(ConcurrencyLimitLayer::new(5)))
        .layer(RetryLayer::default())
        .layer(OpaqueLayer::new(TowersTimeoutLayer::new(seconds(1))))
        .service(Opaque::new(service_fn(|()| async {
            Ok::<(), Infallible>(())
        })));
    assert_eq!(
        told(&stack),
        "\
1. RateLimit
2. LoadShed
3. ConcurrencyLimit
4. Retry: 3 attempts; waits of 10ms to 1s; a budget of 20 % of calls and 10 a second
5. Timeout
6. ServiceFn
warning: RateLimit shares its limit with nobody: every stack that is built, for a connection or a task, has all of it
warning: Retry is outside of the only limit of time, Timeout: each attempt has one, and the call as a whole has none
"
    );
}

#[test]
fn what_is_inside_of_a_foreign_layer_is_told_as_it_is_now() {
    let policies = PolicyLayer::default();
    let stack = ServiceBuilder::new()
        .layer(OpaqueLayer::new(LoadShedLayer::new()))
        .layer(policies.clone())
        .service(end());
    let policy = MethodPolicy::new();
    policies.replace(MethodPolicies::new([("A", policy), ("B", policy)]).unwrap());
    assert_eq!(
        told(&stack.clone()),
        "1. LoadShed\n2. Policies: 2 patterns\n3. Script\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_shown_is_the_layer_that_it_was() {
    let mut service = ServiceBuilder::new()
        .layer(OpaqueLayer::new(TowersTimeoutLayer::new(seconds(1))))
        .service(end());
    assert_eq!(service.call(Call::new("Get")).await.unwrap(), 1);
    let shown = tower::layer::layer_fn(Opaque::new);
    probe(&shown, || Call::new("Probe"), || "answer")
        .await
        .unwrap();
}
