//! What a balanced call costs in memory.

mod support;

use std::{
    future::Future as _,
    future::{Ready, poll_fn, ready},
    task::{Context, Poll},
};

use steeple_layers::{
    Error, Lifecycle,
    balance::{BalanceLayer, ConsistentHash, PeakEwma, Pick, RoundRobin},
    replicas::Replicas,
    resolve::Fixed,
};
use tower::{Layer, Service, service_fn};

use self::support::Call;

/// A connection that answers at once and is never over.
#[derive(Clone)]
struct Instantly;

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
    type Future = Ready<Result<(), Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        ready(Ok(()))
    }
}

fn allocations(pick: impl Pick) -> u64 {
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
        let mut client = BalanceLayer::new(pick).layer(replicas);
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
            // Nothing in it is ever pending, but for tokio's budget.
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
