//! A policy over a service whose error does not say what went wrong.

use steeple::{AsError, Body, Carry, Error, Request};
use tower::{Service, service_fn};

#[derive(Debug)]
struct Mine;

impl From<Error> for Mine {
    fn from(_: Error) -> Self {
        Self
    }
}

/// Asks of a service what every layer asks.
fn policy<S, R>(service: S) -> S
where
    R: Carry,
    S: Service<R>,
    S::Error: From<Error> + AsError,
{
    service
}

fn main() {
    policy(service_fn(async |request: Request| Ok::<Body, Mine>(request.into_body())));
}
