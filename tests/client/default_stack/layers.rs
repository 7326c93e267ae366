//! What the default stack is made of.

use steeple::{
    Body, Client, Connector, Error, Request, Response, Server,
    layers::{TraceContext, TraceLayer},
    transport::mem::MemNetwork,
};
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
