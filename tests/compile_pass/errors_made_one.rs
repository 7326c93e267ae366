//! What the notes on a foreign error advise, over a service that cannot fail and over one that fails its own way.

use std::{convert::Infallible, fmt};

use steeple::{AsError, Body, BoxError, Carry, Error, Request};
use tower::{Service, ServiceBuilder, service_fn};

#[derive(Debug)]
struct Mine;

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mine")
    }
}

impl std::error::Error for Mine {}

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
    policy(
        ServiceBuilder::new()
            .map_err(steeple::Error::from)
            .service(service_fn(async |request: Request| {
                Ok::<Body, Infallible>(request.into_body())
            })),
    );
    policy(
        ServiceBuilder::new()
            .map_err(|error| steeple::Error::from(steeple::BoxError::from(error)))
            .service(service_fn(async |_: Request| Err::<Body, _>(Mine))),
    );
    policy(
        ServiceBuilder::new()
            .map_err(steeple::from_tower)
            .service(service_fn(async |_: Request| Err::<Body, BoxError>(Mine.into()))),
    );
}
