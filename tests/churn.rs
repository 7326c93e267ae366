//! Calls over a simulated network while the endpoints change at random: what is listed, and the servers behind it.

mod support;

use std::time::Duration;

use steeple::{
    Client, Connector, Endpoint, Error, Kind, Server, ServerHandle,
    layers::{Replicas, resolve::Streamed},
    transport::mem::MemNetwork,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use self::support::{echo, soon};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const SEEDS: u64 = 1000;
const CHANGES: usize = 25;
const CALLERS: usize = 5;

/// How long a call waits at most. A change takes a few of these milliseconds to be known.
const PATIENCE: Duration = Duration::from_millis(60);

/// Some of the names, by chance.
fn some(rng: &mut fastrand::Rng) -> Vec<&'static str> {
    NAMES.into_iter().filter(|_| rng.bool()).collect()
}

/// One caller: a call after the other until the end; how many were answered.
async fn calls(seed: u64, mut client: Client, end: Instant) -> u64 {
    let mut answered = 0;
    while Instant::now() < end {
        let text = format!("{seed}: {answered}");
        let call = client.call::<String>("echo", &*text).timeout(PATIENCE);
        match soon(call).await {
            Ok(answer) => {
                assert_eq!(answer, text);
                answered += 1;
            }
            Err(error) if matches!(error.kind(), Kind::Timeout | Kind::Unreachable) => {}
            Err(error) => panic!("seed {seed}: {error:?}"),
        }
    }
    answered
}

/// Changes at random which servers are listed, and now and then replaces one, while callers call.
async fn churn(seed: u64) -> u64 {
    fastrand::seed(seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let network = MemNetwork::new(seed);
    let latency = Duration::from_micros(rng.u64(500..5000));
    network.all().latency(latency).jitter(latency / 4);
    let serve = |name| Server::new(network.listen(name).unwrap()).spawn(echo());
    let mut servers: Vec<ServerHandle> = NAMES.into_iter().map(serve).collect();

    let (list, listed) = watch::channel(Vec::new());
    let sets = futures_util::stream::unfold(listed, async |mut listed| {
        listed.changed().await.ok()?;
        let names: Vec<&str> = listed.borrow_and_update().clone();
        let endpoint = |name| format!("mem://{name}").parse::<Endpoint>().unwrap();
        let targets = names.into_iter().map(|name| endpoint(name).into());
        Some((Ok::<_, Error>(targets.collect()), listed))
    });
    let connector = Connector::new().dialer(network.dialer("client"));
    let replicas = Replicas::new(Streamed::sets(sets), connector);
    let client = Client::builder().replicas(replicas.clone());

    let end = Instant::now() + Duration::from_millis(10) * CHANGES as u32;
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(calls(seed, client.clone(), end)))
        .collect();
    for _ in 0..CHANGES {
        list.send_replace(some(&mut rng));
        if rng.u8(..8) == 0 {
            let place = rng.usize(..NAMES.len());
            let old = servers[place].clone();
            soon(old.drain()).await;
            servers[place] = serve(NAMES[place]);
        }
        sleep(Duration::from_millis(rng.u64(0..20))).await;
    }
    let mut answered = 0;
    for caller in callers {
        answered += soon(caller).await.unwrap();
    }
    soon(replicas.close()).await;
    answered
}

/// Runs this half of the seeds.
async fn half(first: u64) {
    let mut answered = 0;
    for seed in (first..=SEEDS).step_by(2) {
        answered += churn(seed).await;
    }
    assert!(answered > 20 * SEEDS / 2, "only {answered} were answered");
}

#[tokio::test(start_paused = true)]
async fn no_call_fails_but_for_want_of_a_server_in_odd_worlds() {
    half(1).await;
}

#[tokio::test(start_paused = true)]
async fn no_call_fails_but_for_want_of_a_server_in_even_worlds() {
    half(2).await;
}
