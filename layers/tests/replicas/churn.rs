//! Calls while endpoints come and go.

use std::time::Duration;

use steeple_layers::{
    Kind,
    balance::{BalanceLayer, Choice, PeakEwma, pick_fn},
    replicas::Replicas,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service};

use crate::support::{Behaviour, Call, Listed, MS, Net};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const SEEDS: u64 = 1000;
const CHANGES: usize = 25;
const CALLERS: usize = 5;

/// Changes what is listed at random while callers call; returns how many calls succeeded.
async fn churn(seed: u64) -> usize {
    fastrand::seed(seed);
    let net = Net::default();
    for name in NAMES {
        net.behave(name, Behaviour::AnswerAfter(3 * MS));
    }
    let listed = Listed::new(&[]);
    let replicas = Replicas::new(listed.clone(), net);
    let client = BalanceLayer::new(PeakEwma::default()).layer(replicas.clone());
    let end = Instant::now() + Duration::from_millis(25 * 20);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let mut succeeded = 0;
                while Instant::now() < end {
                    match client.call(Call::within(50 * MS)).await {
                        Ok(_) => succeeded += 1,
                        Err(error) if error.kind() == Kind::Unreachable => {}
                        Err(error) => panic!("seed {seed}: {error:?}"),
                    }
                }
                succeeded
            })
        })
        .collect();
    for _ in 0..CHANGES {
        let names: Vec<_> = NAMES.into_iter().filter(|_| fastrand::bool()).collect();
        listed.set(&names);
        sleep(Duration::from_millis(fastrand::u64(0..40))).await;
    }
    let mut succeeded = 0;
    for caller in callers {
        succeeded += caller.await.unwrap();
    }
    replicas.close().await;
    succeeded
}

#[tokio::test(start_paused = true)]
async fn no_call_fails_for_an_endpoint_that_comes_or_goes() {
    let mut succeeded = 0;
    for seed in 1..=SEEDS {
        succeeded += churn(seed).await;
    }
    assert!(succeeded > 100 * SEEDS as usize, "{succeeded}");
}

#[test]
fn no_call_fails_for_an_endpoint_that_comes_or_goes_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    let callers = runtime.block_on(async {
        let net = Net::default();
        let listed = Listed::new(&NAMES);
        let replicas = Replicas::new(listed.clone(), net);
        replicas.ready().await.unwrap();
        let (end, ended) = tokio::sync::watch::channel(false);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let mut client = BalanceLayer::new(PeakEwma::default()).layer(replicas.clone());
                let ended = ended.clone();
                tokio::spawn(async move {
                    while !*ended.borrow() {
                        client.call(Call::default()).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for change in 0..50 {
            // "e" always stays, so that each call has where to go.
            listed.set(if change % 2 == 0 { &NAMES[4..] } else { &NAMES });
            sleep(12 * MS).await;
        }
        end.send_replace(true);
        callers
    });
    for caller in callers {
        runtime.block_on(caller).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_chosen_a_replica_that_goes_in_that_moment_calls_another() {
    let (net, listed) = (Net::default(), Listed::new(&["a", "b"]));
    let replicas = Replicas::new(listed.clone(), net.clone());
    while replicas.replicas().len() < 2 {
        sleep(MS).await;
    }
    let pick = pick_fn(move |members, _| {
        if members.len() == 2 {
            listed.set(&["b"]);
            while net.open("a") > 0 {
                std::thread::yield_now();
            }
        }
        Choice::Member(0)
    });
    let mut client = BalanceLayer::new(pick).layer(replicas);
    let call = tokio::task::spawn_blocking(move || client.call(Call::default()));
    assert_eq!(call.await.unwrap().await.unwrap(), "b");
}
