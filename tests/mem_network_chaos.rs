//! Whatever the network in memory does, bytes come out as they went in, nobody hangs, and the same seed
//! does the same again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use proptest::prelude::*;
use steeple::transport::{
    Listener,
    mem::{Link, MemNetwork, MemStream},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    spawn,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Who needs longer hangs: under paused time nothing else can take a day.
const HANG: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes in each direction.
const LEN: usize = 5000;

/// What was read, and when.
type Log = Arc<Mutex<Vec<(Duration, usize)>>>;

/// Faults that lose nothing, changed at random while the streams are busy. Each change wakes everybody, so
/// in some runs there are few: the rest must go on by itself.
async fn disturb(link: Link, mut rng: Rng) {
    for _ in 0..rng.u8(0..40) {
        let ms = |rng: &mut Rng, most| Duration::from_millis(rng.u64(0..=most));
        match rng.u8(0..8) {
            0 => link.capacity(rng.usize(1..200)),
            1 => link.latency(ms(&mut rng, 30)),
            2 => link.jitter(ms(&mut rng, 30)),
            3 => link.bandwidth(rng.usize(1..500), ms(&mut rng, 3)),
            4 => link.torn(),
            5 => link.clear(),
            6 => link.partition(),
            _ => link.heal(),
        };
        sleep(ms(&mut rng, 50)).await;
    }
    link.heal();
}

async fn write(mut stream: WriteHalf<MemStream>, bytes: Vec<u8>, mut rng: Rng) {
    let mut left = &bytes[..];
    while !left.is_empty() {
        let len = rng.usize(1..=left.len().min(700));
        let n = stream.write(&left[..len]).await.unwrap();
        assert!((1..=len).contains(&n));
        left = &left[n..];
        if rng.u8(0..4) == 0 {
            sleep(Duration::from_millis(rng.u64(0..10))).await;
        }
    }
    stream.shutdown().await.unwrap();
}

async fn read(mut stream: ReadHalf<MemStream>, mut rng: Rng, log: Log) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = Instant::now();
    loop {
        let mut part = vec![0; rng.usize(1..600)];
        let n = stream.read(&mut part).await.unwrap();
        log.lock().unwrap().push((start.elapsed(), n));
        if n == 0 {
            return bytes;
        }
        bytes.extend(&part[..n]);
    }
}

/// Sends bytes both ways through a disturbed network, and says what was read when.
async fn exchange(seed: u64) -> Vec<(Duration, usize)> {
    let mut rng = Rng::with_seed(seed);
    let net = MemNetwork::new(rng.u64(..));
    let mut listener = net.listen("server").unwrap();
    let client = net.connect("client", "server").await.unwrap();
    let (server, _) = listener.accept().await.unwrap();

    let [there, back] = [0, 1].map(|_| (0..LEN).map(|_| rng.u8(..)).collect::<Vec<_>>());
    let (client_read, client_write) = split(client);
    let (server_read, server_write) = split(server);
    let log = Log::default();
    // Tasks of their own, so that each is polled only if it was woken.
    let disturbed = [("client", "server"), ("server", "client")]
        .map(|(from, to)| spawn(disturb(net.one_way(from, to), rng.fork())));
    let written = [
        spawn(write(client_write, there.clone(), rng.fork())),
        spawn(write(server_write, back.clone(), rng.fork())),
    ];
    let at_server = spawn(read(server_read, rng.fork(), log.clone()));
    let at_client = spawn(read(client_read, rng.fork(), log.clone()));
    for task in disturbed.into_iter().chain(written) {
        done(task).await;
    }
    assert!(done(at_server).await == there, "other bytes came out");
    assert!(done(at_client).await == back, "other bytes came out");
    let log = log.lock().unwrap();
    log.clone()
}

async fn done<T>(task: JoinHandle<T>) -> T {
    timeout(HANG, task).await.expect("it hangs").unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn bytes_come_out_as_they_went_in_whatever_the_network_does(seed: u64) {
        run(exchange(seed));
    }

    #[test]
    fn a_kill_at_any_byte_ends_every_wait_and_delivers_what_came_before(
        seed: u64, n in 0..LEN, torn: bool, capacity in 1..300_usize, latency in 0..20_u64,
    ) {
        run(async {
            let net = MemNetwork::new(seed);
            let mut listener = net.listen("server").unwrap();
            let mut client = net.connect("client", "server").await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            let link = net.link("client", "server");
            link.capacity(capacity).latency(Duration::from_millis(latency));
            if torn {
                link.torn();
            }
            net.one_way("client", "server").kill_after(n as u64);
            let written = spawn(async move { client.write_all(&[7; LEN]).await });
            let read = spawn(async move {
                let mut bytes = Vec::new();
                let read = server.read_to_end(&mut bytes).await;
                (read, bytes)
            });
            assert!(done(written).await.is_err());
            let (read, bytes) = done(read).await;
            assert!(read.is_err());
            assert_eq!(bytes.len(), n);
        });
    }
}

#[test]
fn the_same_seed_does_the_same_again_and_another_does_not() {
    let first = run(exchange(1));
    assert_eq!(run(exchange(1)), first);
    assert_ne!(run(exchange(2)), first);
}
