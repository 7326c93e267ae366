//! Connections of a default stack that are lost, drained or closed.

use std::time::Duration;

use steeple::{
    Execution, Kind,
    layers::{RetryPolicy, replicas::State, retry::Budget},
    transport::mem::MemNetwork,
};

use super::{builder, serve, serve_at};
use crate::support::{Probe, settle, soon};

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
