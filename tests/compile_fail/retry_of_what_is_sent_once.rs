//! Retries over a service whose requests cannot be sent twice.

use steeple::{
    Carry, Context, Error,
    layers::{RetryLayer, RetryPolicy},
};
use tower::{ServiceBuilder, service_fn, util::BoxCloneService};

struct Once(Context);

impl Carry for Once {
    fn cx(&self) -> &Context {
        &self.0
    }

    fn cx_mut(&mut self) -> &mut Context {
        &mut self.0
    }
}

fn main() {
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .service(service_fn(async |request: Once| Ok::<_, Error>(request.cx().attempt())));
    let _: BoxCloneService<Once, u32, Error> = BoxCloneService::new(stack);
}
