//! Every layer here passes the probe.

use std::{any::type_name, collections::BTreeSet};

use bytes::Bytes;
use steeple::{
    BoxError, Error, Request, Response,
    layers::{
        AsyncAuthLayer, AuthLayer, BearerLayer, CompressionLayer, PropagateTraceLayer, TraceLayer,
        TransformLayer, auth::Token,
    },
    test::{Simulated, probe},
};
use tokio::task::yield_now;
use tower::{Layer, Service};

use crate::{sources, support::call};

/// Probes a layer, and keeps its name.
async fn check<L>(probed: &mut BTreeSet<String>, layer: &L)
where
    L: Layer<Simulated<Response>>,
    L::Service: Service<Request> + Clone,
{
    let path = type_name::<L>().split('<').next().unwrap();
    let name = path.rsplit("::").next().unwrap();
    // Long enough to be worth compressing.
    let request = || call("Echo", "x".repeat(2000));
    let report = probe(layer, request, Response::default).await;
    report.unwrap_or_else(|report| panic!("{name}: {report}"));
    probed.insert(name.to_owned());
}

#[tokio::test(start_paused = true)]
async fn every_layer_keeps_the_contract() {
    let mut all = BTreeSet::new();
    check(&mut all, &AuthLayer::new(|_: &mut Request| Ok(()))).await;
    // As long as it asks, a call keeps its place inside: so it asks no longer than a call lasts.
    let asking = AsyncAuthLayer::new(|request: Request| async move {
        yield_now().await;
        Ok::<_, Error>(request)
    });
    check(&mut all, &asking).await;
    let bearer = BearerLayer::new(|| async {
        yield_now().await;
        Ok::<_, BoxError>(Token::new("sesame"))
    });
    check(&mut all, &bearer).await;
    check(&mut all, &CompressionLayer::zstd()).await;
    check(&mut all, &PropagateTraceLayer::new()).await;
    check(&mut all, &TraceLayer::new()).await;
    let same = |body: Bytes| Ok::<_, BoxError>(body);
    check(&mut all, &TransformLayer::client(same, same)).await;
    check(&mut all, &TransformLayer::server(same, same)).await;
    assert_eq!(all, sources::layers_in("src"), "probed, and there are");
}

#[test]
fn every_layer_has_a_row_in_the_table() {
    let rows = sources::rows_in("src/layers/mod.rs");
    for directory in ["src", "layers/src"] {
        let layers = sources::layers_in(directory);
        let missing: Vec<_> = layers.difference(&rows).collect();
        assert!(missing.is_empty(), "{missing:?} of {directory}");
    }
}
