//! A deadline over a service that cannot say that it passed: its error is its own.

use std::time::Duration;

use steeple::{Request, Response, layers::TimeoutLayer};
use tower::{ServiceBuilder, service_fn, util::BoxCloneService};

#[derive(Debug)]
struct Mine;

fn main() {
    let stack = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .service(service_fn(async |request: Request| {
            Ok::<_, Mine>(Response::new(request.into_body()))
        }));
    let _: BoxCloneService<Request, Response, Mine> = BoxCloneService::new(stack);
}
