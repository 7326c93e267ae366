//! What a router itself costs, in what can be counted.

use bytes::Bytes;
use futures_util::FutureExt;
use steeple::{Request, Response, Router, router::Handler};
use tower::{Service, layer::util::Identity};

use crate::{raw, request};

const CALLS: u64 = 1000;

/// The allocations of one call by the router, without those of the request.
fn allocations(router: &Router, request: &Request) -> f64 {
    let mut router = router.clone();
    let mut call = |request| -> Response { router.call(request).now_or_never().unwrap().unwrap() };
    // The table and the arena are made when they are first needed.
    call(request.clone());
    let requests = vec![request.clone(); CALLS as usize];
    let counted = allocation_counter::measure(|| {
        for request in requests {
            call(request);
        }
    });
    counted.count_total as f64 / CALLS as f64
}

// On a clock that stands still, or a first call that is slow would be moved off.
#[tokio::test(start_paused = true)]
async fn a_plain_handler_costs_no_allocation_an_async_one_and_a_layer_cost_one_each() {
    let router = Router::new()
        .route("Plain", |bytes: Bytes| bytes)
        .route("Layered", (|bytes: Bytes| bytes).layer(Identity::new()))
        .route("Async", async |bytes: Bytes| bytes)
        .route("Sum", |(a, b): (i64, i64)| a + b);
    for (request, most) in [
        (raw("Plain", "hello"), 0.0),
        (raw("Async", "hello"), 1.0),
        (request("Sum", (1, 2)), 0.0),
        (raw("Layered", "hello"), 1.0),
    ] {
        let counted = allocations(&router, &request);
        assert!(
            counted <= most,
            "{counted} allocations of {:?}",
            request.method()
        );
    }
}
