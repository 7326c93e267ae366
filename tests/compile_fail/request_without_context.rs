//! A policy over a service whose request carries no `Context`.

use steeple::{AsError, BoxError, Carry, Error};
use tower::{Service, service_fn};

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
    policy(service_fn(async |text: String| Ok::<_, BoxError>(text)));
}
