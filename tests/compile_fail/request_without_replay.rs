//! A policy that repeats calls, over a service whose request can be sent only once.

use steeple::{AsError, Carry, Context, Error, Replay};
use tower::{Service, service_fn};

struct Once(Context);

impl Carry for Once {
    fn cx(&self) -> &Context {
        &self.0
    }

    fn cx_mut(&mut self) -> &mut Context {
        &mut self.0
    }
}

/// Asks of a service what a layer asks that repeats calls.
fn repeat<S, R>(service: S) -> S
where
    R: Replay,
    S: Service<R>,
    S::Error: From<Error> + AsError,
{
    service
}

fn main() {
    repeat(service_fn(async |request: Once| Ok::<_, Error>(request.cx().attempt())));
}
