//! What a connector makes of its dials.

use std::{future::pending, io, pin::pin, time::Duration};

use futures_util::poll;
use steeple::{
    Address, Connector, Endpoint, Error, Execution, Kind,
    transport::{Dial, mem::MemStream},
};
use tokio::time::sleep;
use tower::service_fn;

/// Dials whose host says what becomes of them.
fn dialer() -> impl Dial + Clone {
    service_fn(async |endpoint: Endpoint| match endpoint.host() {
        "refuses" => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
        "hangs" => pending().await,
        _ => Ok((MemStream::pair(1024).0, Address::Mem("there".into()))),
    })
}

fn unreachable(error: &Error) {
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(error.execution(), Execution::NotSent);
}

#[tokio::test(start_paused = true)]
async fn dials_are_counted_by_how_they_end_over_all_clones_and_dropped_ones_not_at_all() {
    let connector = Connector::new().dialer(dialer());
    let channel = connector.connect("mem://there").await.unwrap();
    assert_eq!(channel.address(), Some(&Address::Mem("there".into())));
    let refused = connector.clone().connect("mem://refuses").await;
    unreachable(&refused.unwrap_err());
    let late = connector.connect("mem://hangs").await.unwrap_err();
    unreachable(&late);
    assert!(late.to_string().contains("dial_timeout of 10s"), "{late}");
    {
        let mut dropped = Box::pin(connector.connect("mem://hangs"));
        assert!(poll!(&mut dropped).is_pending());
    }
    let stats = connector.stats();
    assert_eq!((stats.dials, stats.dial_errors), (1, 2));
}

#[tokio::test]
async fn an_endpoint_may_be_given_in_any_form() {
    let connector = Connector::new().dialer(dialer());
    let text = String::from("mem://there");
    let endpoint: Endpoint = text.parse().unwrap();
    connector.connect(&text).await.unwrap();
    connector.connect(text).await.unwrap();
    connector.connect(&endpoint).await.unwrap();
    connector.connect(endpoint).await.unwrap();
    let error = connector.connect("there").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_channel_keeps_the_connection_and_its_peer_does_not() {
    let (near, _far) = MemStream::pair(1024);
    let channel = Connector::new().connect_io(near, None);
    let (peer, clone) = (channel.peer().clone(), channel.clone());
    drop(channel);
    sleep(Duration::from_secs(1)).await;
    assert!(poll!(pin!(peer.draining())).is_pending());
    drop(clone);
    peer.draining().await;
}
