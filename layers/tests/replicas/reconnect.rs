//! One endpoint that is kept connected by a layer over its connector.

use std::{error::Error as _, time::Duration};

use steeple_layers::{Backoff, Kind, ReconnectLayer, replicas::State};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service};

use crate::support::{Call, MS, Net, are, settle, soon};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_and_starts_needs_no_help() {
    let net = Net::default();
    net.stop("a");
    let mut service = ReconnectLayer::new("a").layer(net.clone());
    let mut early = task::spawn(service.call(Call::default()));
    assert_pending!(early.poll());
    net.start("a");
    assert_eq!(soon(early).await.unwrap(), "a");
    for _ in 0..5 {
        net.stop("a");
        sleep(3 * SECOND).await;
        net.start("a");
        assert_eq!(soon(service.call(Call::default())).await.unwrap(), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn after_so_many_failed_dials_there_are_no_more_and_calls_fail_at_once() {
    let net = Net::default();
    net.stop("a");
    let mut service = ReconnectLayer::new("a").dial_limit(3).layer(net.clone());
    let error = soon(service.call(Call::default())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(
        error
            .source()
            .is_some_and(|why| why.to_string() == "a is down")
    );
    are(service.replicas(), &[("a", State::GivenUp)]);
    net.start("a");
    sleep(60 * SECOND).await;
    assert_eq!(net.dials("a"), 3);
    let begun = Instant::now();
    service.call(Call::default()).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lasts_lets_all_dials_fail_anew_before_the_limit() {
    let net = Net::default();
    let mut service = ReconnectLayer::new("a").dial_limit(3).layer(net.clone());
    for outages in 1..=5 {
        sleep(2 * SECOND).await;
        assert_eq!(soon(service.call(Call::default())).await.unwrap(), "a");
        // The loss of the connection and the dial after it.
        net.stop("a");
        while net.dials("a") < 2 * outages {
            sleep(MS).await;
        }
        net.start("a");
        assert_eq!(soon(service.call(Call::default())).await.unwrap(), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn dials_come_no_sooner_than_the_backoff_says() {
    let net = Net::default();
    net.stop("a");
    let backoff = Backoff::new(10 * SECOND, 10 * SECOND);
    let layer = ReconnectLayer::new("a").backoff(backoff);
    let _service = layer.layer(net.clone());
    settle().await;
    assert_eq!(net.dials("a"), 1);
    // Half of the wait is chance.
    sleep(4 * SECOND).await;
    assert_eq!(net.dials("a"), 1);
    sleep(6 * SECOND).await;
    assert_eq!(net.dials("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_a_call_waits_until_its_deadline_or_fails_at_once() {
    let net = Net::default();
    net.stop("a");
    let mut patient = ReconnectLayer::new("a").layer(net.clone());
    let mut hasty = ReconnectLayer::new("a").fail_fast(true).layer(net.clone());
    settle().await;
    for (service, waits) in [(&mut patient, 50 * MS), (&mut hasty, Duration::ZERO)] {
        let begun = Instant::now();
        let error = service.call(Call::within(50 * MS)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert_eq!(begun.elapsed(), waits);
        assert_eq!(error.is_timeout(), !waits.is_zero());
    }
}
