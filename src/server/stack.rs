//! The default stack.

use std::time::Duration;

use steeple_layers::{CatchPanicLayer, InheritLayer, LogLayer, TimeoutLayer};
use tower::ServiceBuilder;

use crate::{conn::RpcService, layers::PeerAndSizes};

/// What [`serve`](super::Server::serve) puts around a service, from the outside in. Nothing of it allocates, and
/// none of it is [needed](super::Server::serve_bare).
pub(super) fn stack<S>(
    service: S,
    max_call_time: Option<Duration>,
) -> impl RpcService + Clone + Send + 'static
where
    S: RpcService + Clone + Send + 'static,
{
    let cap = max_call_time.map(|cap| TimeoutLayer::without_default().cap(cap));
    ServiceBuilder::new()
        // Outermost: whatever panics below fails its call, and the log has the method.
        .layer(CatchPanicLayer::new())
        // A line for every call, those too that run out of time.
        .layer(LogLayer::new().describe(PeerAndSizes))
        // No call lasts longer than the operator wants, if that was set, whatever its caller has asked for.
        .option_layer(cap)
        // Inside of the cap, so that the calls which a handler makes have no more time than it has itself.
        .layer(InheritLayer::new())
        // The layers ask an error what it is, so it has to be the one that they know.
        .map_err(Into::into)
        .service(service)
}

#[cfg(test)]
mod tests {
    use std::any::type_name_of_val;

    use super::*;
    use crate::conn::Unserved;

    #[test]
    fn the_order_is_panics_log_cap_inherit() {
        let stack = stack(Unserved, None);
        let printed = type_name_of_val(&stack);
        let layers = [
            "CatchPanic<",
            "::Log<",
            "::Timeout<",
            "::Inherit<",
            "Unserved",
        ];
        let places = layers.map(|layer| {
            printed
                .find(layer)
                .unwrap_or_else(|| panic!("{layer} in {printed}"))
        });
        assert!(places.is_sorted(), "{printed}");
    }
}
