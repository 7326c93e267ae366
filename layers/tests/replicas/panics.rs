//! Panics of what a set was given.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use steeple_layers::{
    Error,
    replicas::{Replicas, State},
    resolve::Fixed,
};
use tower::{Service, layer::layer_fn, util::service_fn};

use crate::support::{Fake, MS, Net, answer, are, client, settle};

/// A function that panics the first times.
fn panics<T>(times: usize) -> impl Fn(T) -> T + Clone {
    let calls = Arc::new(AtomicUsize::new(0));
    move |value| {
        assert!(calls.fetch_add(1, SeqCst) >= times, "on purpose");
        value
    }
}

/// Why the one endpoint of a set is not live.
fn reason(replicas: &Replicas<Fake>) -> String {
    are(replicas, &[("a", State::Waiting)]);
    replicas.endpoints()[0].reason().unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_is_a_dial_that_failed() {
    let (net, panics) = (Net::default(), panics(5));
    let connector = service_fn(move |name| {
        let (mut net, panics) = (net.clone(), panics.clone());
        async move { net.call(panics(name)).await as Result<Fake, Error> }
    });
    let replicas = Replicas::new(Fixed::one("a"), connector);
    settle().await;
    assert_eq!(reason(&replicas), "the connector panicked");
    assert_eq!(answer(&mut client(&replicas)).await, "a");
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_panics_is_a_connection_that_was_lost() {
    let net = Net::default();
    let replicas = Replicas::builder(Fixed::one("a"), net.clone())
        .layer(layer_fn(panics(5)))
        .start();
    settle().await;
    assert_eq!(
        reason(&replicas),
        "the connection, or a layer on it, panicked"
    );
    assert_eq!(net.open("a"), 0);
    assert_eq!(answer(&mut client(&replicas)).await, "a");
    tokio::time::sleep(10 * MS).await;
    assert_eq!((net.dials("a"), net.open("a")), (6, 1));
}
