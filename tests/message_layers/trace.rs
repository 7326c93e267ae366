//! Traces over connections.

use std::sync::{Arc, Mutex};

use steeple::{
    Body, Channel, Connector, Error, Metadata, Options, Request, Response, RpcService,
    conn::Builder,
    layers::{
        PropagateTraceLayer, RetryLayer, TraceContext, TraceLayer,
        trace::{PropagateTrace, TRACEPARENT, TRACESTATE},
    },
    transport::mem::MemStream,
    wire::Role,
};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tracing::Level;

use crate::{
    lines::listen,
    support::{call, dial},
};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: u128 = 0x4bf92f3577b34da6a3ce929d0e0e4736;

/// A client of this service.
fn connect(service: impl RpcService + Send + 'static) -> Channel {
    let (near, far) = MemStream::pair(64 * 1024);
    let (_server, connection) = Builder::new(Role::Acceptor).build(far, service);
    tokio::spawn(connection);
    Connector::new().connect_io(near, None)
}

/// Answers with what it knows of its span, now and after it has waited.
fn describe() -> impl RpcService + Send + 'static {
    service_fn(async |request: Request| {
        let mine = request.extensions().get::<TraceContext>().unwrap().clone();
        assert_eq!(TraceContext::current().as_ref(), Some(&mine));
        tokio::task::yield_now().await;
        assert_eq!(TraceContext::current().as_ref(), Some(&mine));
        let caller = TraceContext::from_metadata(request.metadata());
        let caller = caller.map_or(String::new(), |caller| caller.to_string());
        let text = format!("{caller} {mine} {}", mine.state());
        Ok::<_, Error>(Response::new(text.into()))
    })
}

async fn answer(client: &mut impl RpcService<Error = Error>, request: Request) -> Vec<String> {
    let response = client.call(request).await.unwrap();
    let text = String::from_utf8(response.body().as_bytes().to_vec()).unwrap();
    text.split(' ').map(str::to_owned).collect()
}

fn parse(text: &str) -> TraceContext {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_outside_of_all_traces_begins_one_that_the_handler_continues() {
    let mut client = PropagateTraceLayer::new()
        .seed(1)
        .layer(connect(TraceLayer::new().seed(2).layer(describe())));
    let first = answer(&mut client, call("Get", "")).await;
    let [caller, handler] = [&first[0], &first[1]].map(|text| parse(text));
    assert!(caller.is_sampled());
    assert_eq!(caller.trace_id(), handler.trace_id());
    assert_ne!(caller.span_id(), handler.span_id());
    let second = answer(&mut client, call("Get", "")).await;
    assert_ne!(parse(&second[0]).trace_id(), caller.trace_id());
    assert_eq!(TraceContext::current(), None);
}

#[tokio::test(start_paused = true)]
async fn ids_follow_from_a_seed() {
    let mut texts = Vec::new();
    for _ in 0..2 {
        let service = TraceLayer::new().seed(2).layer(describe());
        let mut client = PropagateTraceLayer::new().seed(1).layer(connect(service));
        texts.push(answer(&mut client, call("Get", "")).await);
    }
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test(start_paused = true)]
async fn a_nested_call_is_of_the_same_trace_and_passes_the_state_on() {
    let inner = connect(TraceLayer::new().layer(describe()));
    let inner = PropagateTraceLayer::new().layer(inner);
    let relay = TraceLayer::new().layer(service_fn(move |_: Request| {
        let mut inner: PropagateTrace<Channel> = inner.clone();
        async move {
            let mine = TraceContext::current().unwrap();
            tokio::task::yield_now().await;
            let answer = inner.call(call("Inner", "")).await?;
            let inner = String::from_utf8_lossy(answer.body().as_bytes()).into_owned();
            Ok::<_, Error>(Response::new(format!("{mine} {inner}").into()))
        }
    }));
    let mut outer = connect(relay);
    let mut request = call("Outer", "");
    request.metadata_mut().insert(TRACEPARENT, PARENT);
    request.metadata_mut().insert(TRACESTATE, "vendor=opaque");
    let said = answer(&mut outer, request).await;
    let spans = [&said[0], &said[1], &said[2]].map(|text| parse(text));
    for (at, span) in spans.iter().enumerate() {
        assert_eq!(span.trace_id(), TRACE);
        let others = spans.iter().filter(|it| it.span_id() == span.span_id());
        assert_eq!(others.count(), 1, "span {at} has an id of its own");
    }
    assert_eq!(said[3], "vendor=opaque");
}

#[tokio::test(start_paused = true)]
async fn the_request_names_its_parent_before_the_hook_and_the_hook_before_the_handler() {
    let hooked = TraceContext::new(7, 8, false).unwrap();
    let hook = {
        let hooked = hooked.clone();
        move || Some(hooked.clone())
    };
    let channel = connect(TraceLayer::new().layer(describe()));
    let mut client = PropagateTraceLayer::new().current(hook).layer(channel);
    let said = parse(&answer(&mut client, call("Get", "")).await[0]);
    assert_eq!((said.trace_id(), said.is_sampled()), (7, false));
    assert_ne!(said.span_id(), 8);

    let mut request = call("Get", "");
    request.extensions_mut().insert(parse(PARENT));
    let said = parse(&answer(&mut client, request).await[0]);
    assert_eq!(said.trace_id(), TRACE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_begins_no_trace_says_nothing() {
    let (channel, mut server) = dial(Options::new());
    let mut client = PropagateTraceLayer::new().begin(false).layer(channel);
    let _answer = client.call(call("Get", ""));
    server.shake_hands().await;
    assert!(server.expect_request("Get").await.meta.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_names_nothing_valid_gets_a_trace_of_its_own() {
    let mut client = connect(TraceLayer::new().layer(describe()));
    for parent in [
        "",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "\u{fffd}",
    ] {
        let mut request = call("Get", "");
        request.metadata_mut().insert(TRACEPARENT, parent);
        let said = answer(&mut client, request).await;
        assert_eq!(said[0], "");
        assert!(parse(&said[1]).is_sampled());
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_a_span_inside_of_retries() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let attempts = seen.clone();
    let refuse = service_fn(move |request: Request| {
        let caller = TraceContext::from_metadata(request.metadata()).unwrap();
        attempts
            .lock()
            .unwrap()
            .push((caller.trace_id(), caller.span_id()));
        let refused = Error::new(steeple::Kind::Unavailable, "not now");
        async { Err::<Response, _>(refused.with_execution(steeple::Execution::NotStarted)) }
    });
    let mut client = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(PropagateTraceLayer::new())
        .service(connect(refuse));
    let mut request = call("Put", "");
    request.extensions_mut().insert(parse(PARENT));
    client.call(request).await.unwrap_err();
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|(trace, _)| *trace == TRACE));
    assert!(seen.len() == 3 && seen[0].1 != seen[1].1 && seen[1].1 != seen[2].1);
}

#[tokio::test]
async fn a_handler_runs_in_a_span_of_tracing_with_its_ids() {
    let (lines, _guard) = listen(Level::INFO);
    let mut service = TraceLayer::new().layer(service_fn(async |_: Request| {
        tokio::task::yield_now().await;
        tracing::info!("in the handler");
        Ok::<_, Error>(Response::new(Body::empty()))
    }));
    let mut request = call("Get", "");
    *request.metadata_mut() = Metadata::from_iter([(TRACEPARENT, PARENT)]);
    service.call(request).await.unwrap();
    let text = lines.take();
    let line = text
        .lines()
        .find(|line| line.contains("in the handler"))
        .unwrap();
    for field in [
        "call{method=Get",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id=",
        "parent_span_id=00f067aa0ba902b7",
    ] {
        assert!(line.contains(field), "{field} is not in {line}");
    }
    assert!(text.contains("steeple::trace: new"), "{text}");
}
