//! The layers over real connections: what travels, and whose verdict it is.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use steeple::{
    Body, BoxError, Channel, Client, Connector, Endpoint, Error, Execution, Kind, Request,
    Response, Router, RpcService, Server,
    conn::Builder,
    layers::{
        AsyncAuthLayer, AuthLayer, BalanceLayer, BearerLayer, BreakerLayer, BreakerPolicy,
        CatchPanicLayer, CompressionLayer, ConcurrencyLimitLayer, FaultLayer, HedgeLayer,
        InheritLayer, LoadShedLayer, LogLayer, PeerAndSizes, PropagateTraceLayer, Replicas,
        RetryLayer, RetryPolicy, TimeoutLayer, TraceLayer, TransformLayer,
        auth::Token,
        balance::RoundRobin,
        breaker::Circuits,
        explain::{Explanation, OpaqueLayer},
        replicas::Ejection,
        resolve::Fixed,
    },
    router::Handler,
    test::probe,
    transport::mem::{MemNetwork, MemStream},
    wire::Role,
};
use tokio::{sync::Notify, time::Instant};
use tower::{Layer, Service, ServiceBuilder, layer::layer_fn, service_fn};

#[path = "../layers/tests/support/lines.rs"]
mod lines;

/// A client of this service, over a connection of its own.
fn connect(service: impl RpcService + Send + 'static) -> Channel {
    let (near, far) = MemStream::pair(64 * 1024);
    let (_server, connection) = Builder::new(Role::Acceptor).build(far, service);
    tokio::spawn(connection);
    Connector::new().connect_io(near, None)
}

fn request(method: &'static str) -> Request {
    Request::new(method, Body::from("hello"))
}

#[tokio::test(start_paused = true)]
async fn the_verdict_of_a_connection_comes_before_that_of_the_layer_above() {
    let hang = service_fn(async |_: Request| std::future::pending::<Result<_, Error>>().await);
    let mut client = TimeoutLayer::new(Duration::from_secs(1)).layer(connect(hang));
    for _ in 0..3 {
        let start = Instant::now();
        let error = client.call(request("Hang")).await.unwrap_err();
        assert!(error.is_timeout());
        let late = start.elapsed() - Duration::from_secs(1);
        assert!(late < Duration::from_millis(4), "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_sees_the_number_of_each_attempt() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let attempts = seen.clone();
    let refuse = service_fn(move |request: Request| {
        attempts.lock().unwrap().push(request.cx().attempt());
        let refused = Error::new(Kind::Unavailable, "not now");
        async { Err::<Response, _>(refused.with_execution(Execution::NotStarted)) }
    });
    let mut client = RetryLayer::default().layer(connect(refuse));
    let error = client.call(request("Put")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_attempt_that_loses_to_its_hedge_is_cancelled_on_the_wire() {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    let cancelled = Arc::new(Notify::new());
    let dropped = cancelled.clone();
    let stalls = service_fn(move |request: Request| {
        let guard = Dropped(dropped.clone());
        async move {
            if request.cx().attempt() == 0 {
                std::future::pending::<()>().await;
            }
            std::mem::forget(guard);
            Ok::<_, Error>(Response::new(request.into_body()))
        }
    });
    let mut client = HedgeLayer::after(Duration::from_millis(10))
        .idempotent(["Get"])
        .layer(connect(stalls));
    client.call(request("Get")).await.unwrap();
    cancelled.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_breaker_on_each_endpoint_is_looked_at_by_its_name() {
    let network = MemNetwork::new(1);
    let mut servers = Vec::new();
    for (name, kind) in [("bad", Some(Kind::Unavailable)), ("good", None)] {
        let serve = service_fn(move |request: Request| async move {
            match kind {
                Some(kind) => Err(Error::new(kind, "out of order")),
                None => Ok(Response::new(request.into_body())),
            }
        });
        servers.push(Server::new(network.listen(name).unwrap()).spawn(serve));
    }
    let circuits = Circuits::new(BreakerPolicy::new().failures(3));
    let named = circuits.clone();
    let breakers = layer_fn(move |channel: Channel| {
        let name = channel
            .address()
            .map_or_else(String::new, |it| it.to_string());
        BreakerLayer::of(named.of(name)).layer(channel)
    });
    let endpoints = ["mem://bad", "mem://good"].map(|it| it.parse::<Endpoint>().unwrap());
    let connector = Connector::new().dialer(network.dialer("client"));
    let replicas = Replicas::builder(Fixed::new(endpoints).unwrap(), connector)
        .layer(breakers)
        .ejection(Ejection::never())
        .start();
    replicas.ready().await.unwrap();
    let mut client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new().budget(None)))
        .layer(BalanceLayer::new(RoundRobin::default()))
        .service(replicas.clone());
    for _ in 0..20 {
        let mut get = request("Get");
        get.cx_mut().set_idempotent(true);
        client.call(get).await.unwrap();
    }
    let states: Vec<_> = circuits
        .all()
        .into_iter()
        .map(|(name, circuit)| format!("{name} is {}", circuit.state()))
        .collect();
    assert!(states[0].starts_with("mem://bad is open for"), "{states:?}");
    assert!(
        states[0].ends_with("3 failures in a row, the last: out of order"),
        "{states:?}"
    );
    assert_eq!(states[1], "mem://good is closed");
    replicas.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_made_in_a_handler_has_what_its_caller_has_left() {
    let innermost = service_fn(async |request: Request| {
        let left = request.cx().deadline().unwrap() - Instant::now();
        Ok::<_, Error>(Response::new(Body::from(left.as_millis().to_string())))
    });
    let client = TimeoutLayer::new(Duration::from_secs(20)).layer(connect(innermost));
    let middle = InheritLayer::new().layer(service_fn(move |request: Request| {
        let mut client = client.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            client
                .call(Request::new("Inner", request.into_body()))
                .await
        }
    }));
    let mut client = TimeoutLayer::new(Duration::from_secs(5)).layer(connect(middle));
    let response = client.call(request("Outer")).await.unwrap();
    let left: u64 = std::str::from_utf8(response.body().as_bytes())
        .unwrap()
        .parse()
        .unwrap();
    assert!((3990..=4000).contains(&left), "{left} ms");
}

#[tokio::test(start_paused = true)]
async fn a_fault_ends_a_connection_with_all_that_is_under_way_there() {
    let hang = service_fn(|_: Request| std::future::pending::<Result<Response, Error>>());
    let mut channel = connect(hang);
    let other = channel.call(request("Hang"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (closed, fault) = (channel.clone(), FaultLayer::new(1));
    let mut client = fault
        .disconnect(1.0, move || closed.close())
        .layer(channel.clone());
    let error = client.call(request("Hang")).await.unwrap_err();
    assert_eq!(error.execution(), Execution::NotSent);
    let error = other.await.unwrap_err();
    assert_eq!(error.execution(), Execution::MaybeExecuted);
    assert!(channel.is_closed());
}

#[tokio::test(start_paused = true)]
async fn the_stacks_of_the_documentation_keep_the_contract() {
    let client = ServiceBuilder::new()
        .layer(LogLayer::new().describe(PeerAndSizes))
        .layer(TimeoutLayer::default())
        .layer(RetryLayer::default())
        .layer(HedgeLayer::after(Duration::from_millis(1)).idempotent(["Probe"]))
        .layer(BreakerLayer::default());
    let server = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(LogLayer::new().describe(PeerAndSizes))
        .layer(TimeoutLayer::without_default().cap(Duration::from_secs(60)))
        .layer(InheritLayer::new());
    let call = || request("Probe");
    probe(&client.into_inner(), call, Response::default)
        .await
        .unwrap();
    probe(&server.into_inner(), call, Response::default)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_tells_what_its_stack_does() {
    let client = Client::connect_lazy("tcp://127.0.0.1:1,tcp://127.0.0.1:2").unwrap();
    // They are known once the task of the set has asked for them.
    while client.service().replicas().endpoints().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        client.explain().to_string(),
        "\
1. Log: successes at DEBUG
2. PropagateTrace
3. Timeout: 20s unless the call says; kept by what is inside
4. Retry: 3 attempts; waits of 10ms to 1s; a budget of 20 % of calls and 10 a second
5. Balance: PeakEwma
6. Replicas: 0 of 2 live
"
    );
}

#[tokio::test(start_paused = true)]
async fn the_layers_on_each_replica_are_told_and_judged_once_one_is_live() {
    let network = MemNetwork::new(1);
    let listener = network.listen("server").unwrap();
    drop(Server::new(listener).spawn(Router::new().route("Get", || 1)));
    let connector = Connector::new().dialer(network.dialer("client"));
    let endpoint: Endpoint = "mem://server".parse().unwrap();
    let replicas = Replicas::builder(Fixed::one(endpoint), connector)
        .layer(BreakerLayer::default())
        .layer(TimeoutLayer::per_attempt(Duration::from_secs(1)))
        .start();
    replicas.ready().await.unwrap();
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(BalanceLayer::new(RoundRobin::default()))
        .service(replicas);
    assert_eq!(
        Explanation::of(&stack).to_string(),
        "\
1. Retry: 3 attempts; waits of 10ms to 1s; a budget of 20 % of calls and 10 a second
2. Balance: RoundRobin
3. Replicas: 1 of 1 live; inside is mem://server
4. Breaker: closed
5. Timeout: 1s for each attempt
6. Channel: mem://server
warning: Retry is outside of the only limit of time, Timeout: each attempt has one, and the call as a whole has none
"
    );
}

#[tokio::test]
async fn the_layers_over_messages_and_the_ends_of_stacks_tell_of_themselves_too() {
    fn same(body: Bytes) -> Result<Bytes, BoxError> {
        Ok(body)
    }

    let echo = Router::new().route("Echo", |text: String| text);
    let server = ServiceBuilder::new()
        .layer(TraceLayer::new())
        .layer(AuthLayer::new(|_: &mut Request| Ok(())))
        .layer(AsyncAuthLayer::new(|request: Request| async {
            Ok(request)
        }))
        .layer(TransformLayer::server(same, same))
        .service(echo.clone());
    assert_eq!(
        Explanation::of(&server).to_string(),
        "\
1. Trace
2. Auth
3. AsyncAuth
4. Transform
5. Router: 1 route
"
    );
    let channel = connect(echo.clone());
    let limit = ConcurrencyLimitLayer::new(1);
    let routes = echo
        .route("Add", || 1)
        .route("Limited", Handler::layer(|| 1, limit))
        .layer(AuthLayer::new(|_: &mut Request| Ok(())))
        .route("Free", || 2)
        .fallback(|| 3);
    assert_eq!(
        Explanation::of(&routes).to_string(),
        "1. Router: 4 routes; a fallback; Auth over Add, Echo; Auth over ConcurrencyLimit over Limited\n"
    );
    let client = ServiceBuilder::new()
        .layer(OpaqueLayer::new(LoadShedLayer::new()))
        .layer(BearerLayer::new(|| async {
            Ok::<_, Error>(Token::new("x"))
        }))
        .layer(PropagateTraceLayer::new())
        .layer(CompressionLayer::lz4())
        .layer(TransformLayer::client(same, same))
        .service(channel.clone());
    channel.close();
    channel.closed().await;
    assert_eq!(
        Explanation::of(&client).to_string(),
        "\
1. LoadShed
2. Bearer
3. PropagateTrace
4. Compress: Lz4 from 1024 bytes on
5. Transform
6. Channel: closed
warning: LoadShed never refuses a call: what is inside of it, Channel, is always ready
warning: Compress marks bodies that Transform inside of it replaces: the marks are lost
warning: nothing limits the time of a call to Channel, unless the caller does
"
    );
}

#[tokio::test(start_paused = true)]
async fn the_default_stacks_log_both_ends_and_the_sizes_of_a_call() {
    let (lines, _guard) = lines::listen(tracing::Level::DEBUG);
    let network = MemNetwork::new(1);
    let server = Server::new(network.listen("server").unwrap());
    let _server = server.spawn(service_fn(async |_: Request| {
        Ok::<_, Error>(Response::new(Body::from("seven b")))
    }));
    let connector = Connector::new().dialer(network.dialer("client"));
    let client = Client::builder().connector(connector);
    let mut client = client.connect("mem://server").await.unwrap();
    lines.take();
    let answer = client.request::<Body>(Request::new("Get", Body::from("body")));
    answer.await.unwrap();
    let told = lines.take();
    for peer in ["mem://client", "mem://server"] {
        let line = format!(
            "DEBUG steeple::call: method=Get attempt=0 peer={peer} outcome=ok elapsed=0ns \
             request_bytes=4 response_bytes=7\n"
        );
        assert!(told.contains(&line), "{line} is not in {told}");
    }
}
