//! What the default stack is made of.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use steeple::{
    Body, Client, Connector, Error, Execution, Kind, Request, Response, Server,
    layers::{
        PolicyLayer, TraceContext, TraceLayer,
        policies::{MethodPolicies, MethodPolicy},
    },
    transport::mem::MemNetwork,
};
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

use super::{builder, serve};
use crate::support::{Probe, echo, soon};

#[tokio::test(start_paused = true)]
async fn a_client_serves_what_its_server_calls() {
    let network = MemNetwork::new(1);
    serve(&network, &Probe::default());
    let connector = Connector::new()
        .dialer(network.dialer("client"))
        .serve(echo());
    let builder = Client::builder().connector(connector);
    let mut client = builder.connect("mem://server").await.unwrap();
    assert_eq!(client.call::<String>("back", "x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_call_made_in_a_handler_belongs_to_its_trace_and_one_outside_of_all_traces_to_none() {
    let network = MemNetwork::new(1);
    let traced = service_fn(|request: Request| async move {
        let trace = TraceContext::from_metadata(request.metadata());
        let text = trace.map(|it| format!("{:032x}", it.trace_id()));
        Ok::<_, Error>(Response::new(text.unwrap_or_default().into()))
    });
    let inner = Server::new(network.listen("inner").unwrap());
    tokio::spawn(inner.serve(traced));
    let nested = builder(&network).connect("mem://inner").await.unwrap();
    let mut client = nested.clone();
    assert_eq!(client.call::<String>("Trace", "").await.unwrap(), "");

    let handler = service_fn(move |_: Request| {
        let mut nested = nested.clone().into_service();
        async move { nested.call(Request::new("Trace", Body::empty())).await }
    });
    let outer = Server::new(network.listen("server").unwrap());
    tokio::spawn(outer.serve(TraceLayer::new().layer(handler)));
    let mut client = builder(&network).connect("mem://server").await.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let call = client
        .call::<String>("Outer", "")
        .metadata("traceparent", parent);
    assert_eq!(soon(call).await.unwrap(), trace);
}

#[tokio::test(start_paused = true)]
async fn policies_around_it_hold_for_the_methods_that_a_client_calls() {
    let network = MemNetwork::new(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let attempts = seen.clone();
    let failing = service_fn(move |request: Request| {
        attempts.lock().unwrap().push(request.cx().attempt());
        let is_slow = request.method() == "Slow";
        async move {
            if is_slow {
                pending::<()>().await;
            }
            let lost = Error::new(Kind::Unavailable, "half way through");
            Err::<Response, _>(lost.with_execution(Execution::MaybeExecuted))
        }
    });
    let server = Server::new(network.listen("server").unwrap());
    tokio::spawn(server.serve(failing));
    let policy = MethodPolicy::new;
    let policies = MethodPolicies::new([
        ("Users.*", policy().idempotent(true).attempts(4)),
        ("Users.Add", policy().idempotent(false)),
        ("Slow", policy().deadline(Duration::from_millis(100))),
    ]);
    let policies = PolicyLayer::new(policies.unwrap());
    let client = builder(&network).connect("mem://server").await.unwrap();
    let mut client = Client::new(policies.layer(client.into_service()));
    for (method, expected) in [
        ("Users.Get", &[0, 1, 2, 3][..]),
        ("Users.Add", &[0]),
        ("Other", &[0]),
        ("Slow", &[0]),
    ] {
        let start = Instant::now();
        let error = soon(client.call::<String>(method, "")).await.unwrap_err();
        let is_slow = method == "Slow";
        assert_eq!(error.is_timeout(), is_slow, "{method}: {error}");
        assert_eq!(start.elapsed() >= Duration::from_millis(100), is_slow);
        assert_eq!(*seen.lock().unwrap(), expected, "{method}");
        seen.lock().unwrap().clear();
    }

    let once = MethodPolicies::new([("*", policy().attempts(1))]);
    policies.replace(once.unwrap());
    let get = client.call::<String>("Users.Get", "").idempotent(true);
    soon(get).await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), [0]);
}

/// The list that the name of this test is: the order of the layers, outermost first.
#[tokio::test(start_paused = true)]
async fn the_order_is_log_trace_timeout_retry_balance_replicas() {
    let network = MemNetwork::new(1);
    let client = builder(&network).connect_lazy("mem://server").unwrap();
    let printed = format!("{:?}", client.service());
    let layers = [
        "Log {",
        "PropagateTrace {",
        "Timeout {",
        "Retry {",
        "Balance {",
        "Replicas {",
    ];
    let places = layers.map(|layer| {
        printed
            .find(layer)
            .unwrap_or_else(|| panic!("{layer} in {printed}"))
    });
    assert!(places.is_sorted(), "{printed}");
}
