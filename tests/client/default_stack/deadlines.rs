//! The deadlines of a default stack, and what else a call may say of itself.

use std::{error::Error as _, time::Duration};

use steeple::{
    Client, Connector, Error, Execution, Kind, Options, Overflow, Server,
    transport::mem::MemNetwork,
};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::service_fn;

use super::{builder, serve};
use crate::support::{Probe, soon};

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
