//! Three replicas, of which one stalls at one call of a hundred, without hedging and with it: what becomes of the
//! slowest calls, and what that costs. It fails unless the slowest thousandth is at least twice as fast.
//!
//! Run it with `--release`, as everything that is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use steeple::{
    Channel, Client, Connector, Endpoint, Error, Router, Server,
    layers::{
        BalanceLayer, HedgeLayer, Replicas, RetryLayer, TimeoutLayer, balance::RoundRobin,
        resolve::Fixed, retry::Budget,
    },
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::ServiceBuilder;

const CALLERS: usize = 16;
const CALLS: usize = 1000;

/// What a call takes, and what it takes when it stalls.
const WORK: Duration = Duration::from_millis(2);
const STALL: Duration = Duration::from_millis(300);

/// What hedges may add to the load, in percent.
const BUDGET: u32 = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // What the servers have been asked, by which the cost is known.
    let given = Arc::new(AtomicU64::new(0));
    let mut endpoints = Vec::new();
    for stalls in [0.01, 0.0, 0.0] {
        let server = Server::bind("tcp://127.0.0.1:0").await?;
        endpoints.push(Endpoint::try_from(server.local_address())?);
        tokio::spawn(server.serve(router(stalls, given.clone())));
    }
    // In turn, so that all have as many calls. The default would soon avoid the one that stalls.
    let replicas = Replicas::new(Fixed::new(endpoints)?, Connector::new());
    replicas.ready().await?;

    println!(
        "{:16} {:>10} {:>10} {:>10} {:>12}",
        "", "p50", "p99", "p99.9", "extra calls"
    );
    let plain = measure("without hedging", None, &replicas, &given).await?;
    // The slowest of a hundred are made once more, elsewhere.
    let layer = HedgeLayer::percentile(99.0, 10 * WORK).budget(Budget::new(BUDGET, 1));
    let hedged = measure("with hedging", Some(layer), &replicas, &given).await?;

    replicas.drain().await;
    if hedged.slowest * 2 > plain.slowest {
        return Err("hedging did not halve the slowest thousandth".into());
    }
    // One second's allowance more or less does not matter among so many calls.
    if hedged.extra > f64::from(BUDGET) + 1.0 {
        return Err(format!("{:.1} % more calls than the callers made", hedged.extra).into());
    }
    Ok(())
}

/// Does its work after a moment, or much later.
fn router(stalls: f64, given: Arc<AtomicU64>) -> Router {
    let work = move |number: u64| {
        given.fetch_add(1, Relaxed);
        async move {
            let stalled = fastrand::f64() < stalls;
            sleep(if stalled { STALL } else { WORK }).await;
            number
        }
    };
    Router::new().route("Work", work)
}

struct Measured {
    slowest: Duration,
    /// Calls that nobody asked for, in percent.
    extra: f64,
}

/// Calls from many tasks, and prints how long that took.
async fn measure(
    what: &str,
    hedge: Option<HedgeLayer>,
    replicas: &Replicas<Channel>,
    given: &AtomicU64,
) -> Result<Measured, Error> {
    let stack = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .layer(RetryLayer::default())
        .option_layer(hedge)
        .layer(BalanceLayer::new(RoundRobin::default()))
        .service(replicas.clone());
    let before = given.load(Relaxed);
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let mut client = Client::new(stack.clone());
        callers.spawn(async move {
            let mut took = Vec::with_capacity(CALLS);
            for number in 0..CALLS as u64 {
                let start = Instant::now();
                let answer: u64 = client.call("Work", &number).idempotent(true).await?;
                took.push(start.elapsed());
                assert_eq!(answer, number);
            }
            Ok::<_, Error>(took)
        });
    }
    let mut took = Vec::new();
    for caller in callers.join_all().await {
        took.extend(caller?);
    }
    took.sort();
    let of_1000 = |rank: usize| took[took.len() * rank / 1000];
    let calls = took.len() as f64;
    let extra = 100.0 * ((given.load(Relaxed) - before) as f64 / calls - 1.0);
    let [median, slow, slowest] = [500, 990, 999].map(of_1000);
    println!("{what:16} {median:>10.1?} {slow:>10.1?} {slowest:>10.1?} {extra:>10.1} %");
    Ok(Measured { slowest, extra })
}
