//! A layer of one's own in the place of `BalanceLayer`.

use std::task::{Context as TaskContext, Poll};

use steeple_layers::{
    Carry, Error, Kind, RetryLayer, RetryPolicy, TimeoutLayer,
    replicas::{Ejection, Replicas},
    resolve::Fixed,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{Behaviour, BoxFuture, Call, Fake, MS, Net, settle, soon};

/// Calls the first replica that the call has not tried.
#[derive(Clone)]
struct FirstOf(Replicas<Fake>);

struct FirstLayer;

impl Layer<Replicas<Fake>> for FirstLayer {
    type Service = FirstOf;

    fn layer(&self, replicas: Replicas<Fake>) -> FirstOf {
        FirstOf(replicas)
    }
}

impl Service<Call> for FirstOf {
    type Response = String;
    type Error = Error;
    type Future = BoxFuture<Result<String, Error>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let mut replicas = self.0.replicas().into_iter();
        match replicas.find(|replica| !replica.member().was_tried(call.cx())) {
            Some(replica) => Box::pin(replica.oneshot(call)),
            None => Box::pin(async { Err(Error::new(Kind::Unreachable, "all were tried")) }),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_ones_own_over_replicas_is_a_balancer() {
    let net = Net::default();
    net.behave("a", Behaviour::Fail(Kind::Unavailable));
    net.behave("b", Behaviour::Hang);
    let replicas = Replicas::builder(Fixed::new(["a", "b", "c"]).unwrap(), net.clone());
    let replicas = replicas.ejection(Ejection::never()).start();
    settle().await;
    let policy = RetryPolicy::new().attempts(4).budget(None);
    let mut client = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .layer(TimeoutLayer::per_attempt(100 * MS))
        .layer(FirstLayer)
        .service(replicas.clone());
    let mut call = Call::default();
    call.0.set_idempotent(true);
    assert_eq!(soon(client.call(call.clone())).await.unwrap(), "c");
    assert_eq!(["a", "b", "c"].map(|name| net.calls(name)), [1, 1, 1]);

    net.stop("c");
    settle().await;
    let error = soon(client.call(call)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert_eq!(["a", "b", "c"].map(|name| net.calls(name)), [2, 2, 1]);
}
