//! The default stack: it dials when it has to, waits as long as a call may, and has a deadline.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use steeple::{
    Body, Client, Connector, Error, Execution, Kind, Options, Overflow, Request, Response, Server,
    ServerHandle,
    client::ClientBuilder,
    layers::{RetryPolicy, TraceContext, TraceLayer, replicas::State, retry::Budget},
    transport::mem::{MemDialer, MemNetwork},
};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, service_fn};

use crate::support::{Probe, echo, settle, soon};

/// A builder that dials this network.
fn builder(
    network: &MemNetwork,
) -> ClientBuilder<steeple::codec::DefaultCodec, Connector<MemDialer>> {
    Client::builder().connector(Connector::new().dialer(network.dialer("client")))
}

/// Serves on `mem://server`.
fn serve(network: &MemNetwork, probe: &Probe) -> ServerHandle {
    serve_at(network, "server", probe)
}

fn serve_at(network: &MemNetwork, name: &str, probe: &Probe) -> ServerHandle {
    let server = Server::new(network.listen(name).unwrap());
    let handle = server.handle();
    tokio::spawn(server.serve(probe.service()));
    handle
}

#[tokio::test(start_paused = true)]
async fn connecting_gives_the_first_error() {
    let network = MemNetwork::new(1);
    let error = soon(builder(&network).connect("mem://server"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (Kind::Unreachable, "mem://server cannot be reached")
    );
    let source = error.source().unwrap().to_string();
    assert_eq!(source, "cannot reach mem://server");
    let error = soon(builder(&network).connect("server")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let error = builder(&network).connect_lazy("server").unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_lazy_client_dials_once_for_all_its_clones() {
    let network = MemNetwork::new(1);
    let handle = serve(&network, &Probe::default());
    let client = builder(&network).connect_lazy("mem://server").unwrap();
    settle().await;
    assert_eq!(handle.stats().accepts, 0);
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.call::<String>("echo", "x").await })
        })
        .collect();
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap(), "x");
    }
    let mut client = client;
    client.call::<String>("echo", "x").await.unwrap();
    assert_eq!(handle.stats().accepts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_server_that_comes_later() {
    let network = MemNetwork::new(1);
    let mut client = builder(&network).connect_lazy("mem://server").unwrap();
    let mut call = task::spawn(client.call::<String>("echo", "x"));
    assert_pending!(call.poll());
    tokio::time::sleep(Duration::from_secs(5)).await;
    serve(&network, &Probe::default());
    let begun = Instant::now();
    assert_eq!(soon(call).await.unwrap(), "x");
    assert!(
        begun.elapsed() <= Duration::from_secs(1),
        "the longest backoff"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_server_ends_at_its_deadline_with_the_last_dial_error() {
    let network = MemNetwork::new(1);
    let mut client = builder(&network).connect_lazy("mem://server").unwrap();
    let begun = Instant::now();
    let call = client
        .call::<()>("echo", "")
        .timeout(Duration::from_secs(3));
    let error = soon(call).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unreachable, Execution::NotSent)
    );
    let source = error.source().unwrap().to_string();
    assert_eq!(source, "cannot reach mem://server");
}

#[tokio::test(start_paused = true)]
async fn a_call_has_twenty_seconds_unless_it_or_the_client_says_otherwise() {
    let network = MemNetwork::new(1);
    serve(&network, &Probe::default());
    let mut client = builder(&network).connect("mem://server").await.unwrap();
    let mut brief = builder(&network)
        .timeout(Duration::from_secs(5))
        .connect("mem://server")
        .await
        .unwrap();
    let mut patient = builder(&network)
        .timeout(None)
        .connect("mem://server")
        .await
        .unwrap();

    let begun = Instant::now();
    let error = soon(client.call::<()>("never", "")).await.unwrap_err();
    assert_eq!(
        (error.kind(), begun.elapsed().as_secs()),
        (Kind::Timeout, 20)
    );
    let begun = Instant::now();
    soon(brief.call::<()>("never", "")).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 5);
    let begun = Instant::now();
    let call = brief
        .call::<()>("never", "")
        .timeout(Duration::from_secs(60));
    soon(call).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 60);
    let mut call = task::spawn(patient.call::<()>("never", ""));
    assert_pending!(call.poll());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_pending!(call.poll());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_waits_for_one_dial_at_most() {
    let network = MemNetwork::new(1);
    let mut client = builder(&network).connect_lazy("mem://server").unwrap();
    let begun = Instant::now();
    for _ in 0..3 {
        let error = client
            .call::<()>("echo", "")
            .fail_fast(true)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "mem://server cannot be reached");
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    let mut hasty = builder(&network)
        .fail_fast(true)
        .connect_lazy("mem://server")
        .unwrap();
    hasty.call::<()>("echo", "").await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1));
    serve(&network, &Probe::default());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let () = hasty.call("echo", "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_undoes_what_its_client_sets() {
    let network = MemNetwork::new(1);
    let builder = builder(&network)
        .fail_fast(true)
        .timeout(Duration::from_secs(1));
    let mut client = builder.connect_lazy("mem://server").unwrap();
    let mut call = task::spawn(
        client
            .call::<String>("echo", "x")
            .fail_fast(false)
            .timeout(Duration::MAX),
    );
    assert_pending!(call.poll());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_pending!(call.poll());
    serve(&network, &Probe::default());
    assert_eq!(soon(call).await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_dialled_again() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    let first = serve(&network, &probe);
    let mut client = builder(&network).connect("mem://server").await.unwrap();
    let mut other = client.clone();
    for client in [&mut client, &mut other] {
        client.call::<String>("echo", "x").await.unwrap();
    }
    soon(first.close()).await;
    let second = serve(&network, &probe);
    settle().await;
    for client in [&mut client, &mut other] {
        assert_eq!(soon(client.call::<String>("echo", "x")).await.unwrap(), "x");
    }
    assert_eq!(second.stats().accepts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drains_is_left_before_it_is_gone() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    let first = serve(&network, &probe);
    let mut client = builder(&network).connect("mem://server").await.unwrap();
    let slow = client.call::<String>("wait", "x").start().unwrap();
    probe.until_started(1).await;
    let draining = tokio::spawn(async move { first.drain().await });
    settle().await;
    serve(&network, &probe);
    assert_eq!(soon(client.call::<String>("echo", "y")).await.unwrap(), "y");
    probe.ring();
    assert_eq!(soon(slow).await.unwrap(), "x");
    soon(draining).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_is_closed_for_all_its_clones_and_dials_no_more() {
    let network = MemNetwork::new(1);
    let handle = serve(&network, &Probe::default());
    let client = builder(&network).connect("mem://server").await.unwrap();
    let mut clone = client.clone();
    let call = clone.call::<()>("never", "").start().unwrap();
    client.close();
    client.close();
    soon(call).await.unwrap_err();
    let error = clone.call::<()>("echo", "").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Closed, Execution::NotSent)
    );
    assert_eq!(handle.stats().accepts, 1);

    let lazy = builder(&network).connect_lazy("mem://server").unwrap();
    let call = lazy.clone().call::<()>("never", "").start().unwrap();
    settle().await;
    let drain = tokio::spawn(async move {
        let lazy = lazy;
        tokio::join!(lazy.drain(), async {
            settle().await;
            lazy.close();
        })
    });
    soon(drain).await.unwrap();
    assert_eq!(soon(call).await.unwrap_err().kind(), Kind::Closed);

    let lazy = builder(&network).connect_lazy("mem://nobody").unwrap();
    let call = lazy.clone().call::<()>("echo", "").start().unwrap();
    settle().await;
    soon(lazy.drain()).await;
    assert_eq!(soon(call).await.unwrap_err().kind(), Kind::Closed);
}

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
async fn a_batch_waits_for_the_connection_and_has_the_deadline_of_a_call() {
    let network = MemNetwork::new(1);
    let client = builder(&network).connect_lazy("mem://server").unwrap();
    let batch = client.batch();
    let fast = batch.call::<String>("echo", "x").unwrap();
    let slow = batch.call::<()>("never", "").unwrap();
    let begun = Instant::now();
    let run = tokio::spawn(batch.run());
    tokio::time::sleep(Duration::from_secs(2)).await;
    serve(&network, &Probe::default());
    soon(run).await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert_eq!(fast.take().unwrap(), "x");
    assert_eq!(slow.take().unwrap_err().kind(), Kind::Timeout);

    let item = batch.call::<String>("echo", "y").unwrap();
    batch.run().await.unwrap();
    assert_eq!(item.take().unwrap(), "y");
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_a_server_is_refused_at_its_deadline() {
    let network = MemNetwork::new(1);
    let batch = builder(&network)
        .connect_lazy("mem://server")
        .unwrap()
        .batch();
    let item = batch.call::<()>("echo", "").unwrap();
    let run = batch.run().timeout(Duration::from_secs(1));
    let error = soon(run).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(item.take().unwrap_err().execution(), Execution::NotSent);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_dialled_ever_less_and_by_nobody_after_the_client() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    let connector = service_fn(move |_: steeple::Endpoint| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(Error::new(Kind::Unreachable, "nobody is there")) }
    });
    let builder = Client::builder().connector(connector);
    let mut client = builder.connect_lazy("mem://server").unwrap();
    let call = client
        .call::<()>("echo", "")
        .timeout(Duration::from_secs(3));
    soon(call).await.unwrap_err();
    let last = dials.load(Ordering::SeqCst);
    assert!((8..=20).contains(&last), "{last} dials in three seconds");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let last = dials.load(Ordering::SeqCst) - last;
    assert!((55..=125).contains(&last), "{last} dials in a minute");
    drop(client);
    settle().await;
    let last = dials.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(dials.load(Ordering::SeqCst), last);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_has_failed_to_dial() {
    async fn panics(_: steeple::Endpoint) -> Result<steeple::Channel, Error> {
        panic!("boom")
    }
    let builder = || Client::builder().connector(service_fn(panics));
    let error = soon(builder().connect("mem://server")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    let mut client = builder().connect_lazy("mem://server").unwrap();
    let call = client
        .call::<()>("echo", "")
        .timeout(Duration::from_secs(3));
    let error = soon(call).await.unwrap_err();
    assert!(error.is_timeout());
    let source = error.source().unwrap().to_string();
    assert_eq!(source, "the connector panicked");
}

#[test]
fn a_lazy_client_needs_no_runtime_before_its_first_call() {
    let network = MemNetwork::new(1);
    let client = builder(&network).connect_lazy("mem://server").unwrap();
    builder(&network)
        .connect_lazy("mem://server")
        .unwrap()
        .close();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        serve(&network, &Probe::default());
        let mut client = client;
        assert_eq!(client.call::<String>("echo", "x").await.unwrap(), "x");
    });
}

#[tokio::test(start_paused = true)]
async fn a_client_of_several_servers_outlives_any_of_them() {
    let network = MemNetwork::new(1);
    let endpoints = "mem://a,mem://b";
    let error = soon(builder(&network).connect(endpoints))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "no replica can be reached");

    let probe = Probe::default();
    let b = serve_at(&network, "b", &probe);
    let mut client = soon(builder(&network).connect(endpoints)).await.unwrap();
    assert_eq!(client.call::<String>("echo", "x").await.unwrap(), "x");
    let a = serve_at(&network, "a", &probe);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let batch = client.batch();
    for round in 0..20 {
        let item = batch.call::<String>("echo", "y").unwrap();
        if round == 10 {
            b.close().await;
            settle().await;
        }
        batch.run().await.unwrap();
        assert_eq!(item.take().unwrap(), "y");
        let answer = client.call::<String>("echo", "x").fail_fast(true).await;
        assert_eq!(answer.unwrap(), "x");
    }
    let states: Vec<_> = client.service().replicas().endpoints();
    assert_eq!(states.len(), 2);
    assert_eq!(states[0].state(), State::Live);
    assert!(a.stats().served.total() > 20);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_races_with_the_end_of_its_connection_is_made_on_the_next() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    let mut server = serve(&network, &probe);
    let mut client = builder(&network).connect("mem://server").await.unwrap();
    for _ in 0..50 {
        client.call::<String>("echo", "x").await.unwrap();
        // Neither the connection nor the set of replicas has noticed when the call is made.
        let ended = server.close();
        let call = client.call::<String>("echo", "y").start().unwrap();
        soon(ended).await;
        server = serve(&network, &probe);
        match soon(call).await {
            Ok(answer) => assert_eq!(answer, "y"),
            Err(error) => assert_eq!(error.execution(), Execution::MaybeExecuted),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_connection_died_under_unsent_is_made_on_the_next_at_no_charge() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    let server = serve(&network, &probe);
    // Nothing pays for a retry.
    let poor = RetryPolicy::new().budget(Budget::new(0, 0));
    let client = builder(&network).retry(poor);
    let mut client = client.connect("mem://server").await.unwrap();
    for run in 1..=50 {
        settle().await;
        // The connection has the call, and has not written any of it, when it dies.
        let call = client.call::<String>("echo", "x").start().unwrap();
        network.link("client", "server").kill();
        assert_eq!(soon(call).await.unwrap(), "x");
        assert_eq!(probe.started(), run, "each call has run once");
        assert_eq!(server.stats().accepts, run as u64 + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_waits_for_the_dial_after_a_loss() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    let first = serve(&network, &probe);
    let mut client = builder(&network).connect("mem://server").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    soon(first.close()).await;
    serve(&network, &probe);
    settle().await;
    let answer = client.call::<String>("echo", "x").fail_fast(true).await;
    assert_eq!(answer.unwrap(), "x");
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

/// The layers above set no timer of their own, so whatever waits below has to end by itself.
#[tokio::test(start_paused = true)]
async fn whatever_a_call_waits_for_it_ends_at_its_deadline() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    serve(&network, &probe);
    let connector = Connector::new()
        .dialer(network.dialer("client"))
        .options(Options::new().max_calls(1).overflow(Overflow::Wait));
    let builder = Client::builder().connector(connector);
    let client = builder.connect("mem://server").await.unwrap();
    let ends = async |method: &'static str| {
        let begun = Instant::now();
        let mut client = client.clone();
        let call = client
            .call::<()>(method, "")
            .timeout(Duration::from_secs(3));
        let error = soon(call.idempotent(true)).await.unwrap_err();
        let late = begun.elapsed().saturating_sub(Duration::from_secs(3));
        assert!(late < Duration::from_millis(4), "{late:?} late: {error}");
        error
    };
    // An answer; a slot of the connection, and room in its queue.
    let errors = tokio::join!(ends("never"), ends("never"), ends("never"));
    for error in [errors.0, errors.1, errors.2] {
        assert!(error.is_timeout(), "{error}");
    }
    // A stream that takes no bytes, and a connection that does not come again.
    network.link("client", "server").swallow();
    assert!(ends("never").await.is_timeout());
    // The next attempt: a call for which there is no time is not kept waiting.
    let refuses = service_fn(async |_: steeple::Request| {
        let error = Error::new(Kind::Unavailable, "later").with_execution(Execution::NotStarted);
        Err::<steeple::Response, _>(error.with_retry_after(Duration::from_secs(5)))
    });
    let server = Server::new(network.listen("busy").unwrap());
    tokio::spawn(server.serve(refuses));
    let builder = Client::builder().connector(Connector::new().dialer(network.dialer("client")));
    let mut client = builder.connect("mem://busy").await.unwrap();
    let begun = Instant::now();
    let call = client.call::<()>("put", "").timeout(Duration::from_secs(3));
    let error = soon(call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(3));
}
