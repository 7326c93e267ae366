//! What a balanced call costs in memory.

mod support;

use std::{
    future::{Future, poll_fn, ready},
    pin::Pin,
    task::{Context, Poll},
};

use steeple_layers::{
    Error, Lifecycle, LogLayer, RetryLayer, TimeoutLayer,
    balance::{BalanceLayer, ConsistentHash, PeakEwma, Pick, RoundRobin},
    replicas::Replicas,
    resolve::Fixed,
};
use tower::{Layer, Service, ServiceBuilder, service_fn};

use self::support::Call;

/// A connection that answers at the second poll, as every real one does, and is never over.
#[derive(Clone)]
struct Instantly;

/// Whether it was polled before.
struct Answering(bool);

impl Future for Answering {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.0, true) {
            false => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            true => Poll::Ready(Ok(())),
        }
    }
}

impl Lifecycle for Instantly {
    async fn handshaken(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn draining(&self) {
        std::future::pending().await
    }

    async fn closed(&self) {
        std::future::pending().await
    }

    async fn ping(&self) -> Result<std::time::Duration, Error> {
        Ok(support::MS)
    }

    async fn drain(&self) {}

    fn close(&self) {}

    fn pending(&self) -> usize {
        0
    }
}

impl Service<Call> for Instantly {
    type Response = ();
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        Answering(false)
    }
}

fn allocations(pick: impl Pick) -> u64 {
    allocations_of(BalanceLayer::new(pick))
}

/// The allocations of calls under a layer over replicas.
fn allocations_of<L>(layer: L) -> u64
where
    L: Layer<Replicas<Instantly>>,
    L::Service: Service<Call, Response = (), Error = Error>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let connector = service_fn(|_: &'static str| ready(Ok::<_, Error>(Instantly)));
        let replicas = Replicas::new(Fixed::new(["a", "b", "c"]).unwrap(), connector);
        while replicas.replicas().len() < 3 {
            tokio::task::yield_now().await;
        }
        let mut client = layer.layer(replicas);
        let mut calls = async |count| {
            for key in 0..count {
                let mut call = Call::default();
                call.0.set_shard_key(key);
                poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
                client.call(call).await.unwrap();
            }
        };
        // A first call of each replica makes the clones.
        calls(100).await;
        let mut calls = Box::pin(calls(1000));
        let waker = std::task::Waker::noop();
        let counted = allocation_counter::measure(|| {
            // Nothing in it waits for anything.
            while calls
                .as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
            {}
        });
        counted.count_total
    })
}

#[test]
fn a_call_over_a_ready_snapshot_allocates_nothing() {
    assert_eq!(allocations(PeakEwma::default()), 0);
    assert_eq!(allocations(RoundRobin::default()), 0);
    assert_eq!(allocations(ConsistentHash::default()), 0);
    let erased: Box<dyn Pick> = Box::new(PeakEwma::default());
    assert_eq!(allocations(erased), 0);
}

#[test]
fn a_call_of_the_default_client_stack_allocates_nothing() {
    let layers = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(TimeoutLayer::default().kept_below())
        .layer(RetryLayer::default())
        .layer(BalanceLayer::default());
    assert_eq!(allocations_of(layers.into_inner()), 0);
}
