//! When the default stack dials, and what its calls hear of it.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use steeple::{Client, Error, Kind, transport::mem::MemNetwork};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::service_fn;

use super::{builder, serve};
use crate::support::{Probe, settle, soon};

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
