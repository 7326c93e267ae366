//! The network in memory does to streams what a test asks of it, and the same each time.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use steeple::{
    Address, Endpoint,
    transport::{
        Dial, Listener,
        mem::{MemDialer, MemListener, MemNetwork, MemStream},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};
use tokio_test::{assert_pending, task};
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);
/// Longer than anything here takes: who waits for it hangs.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// A network with a client and a server that are connected.
async fn connected() -> (MemNetwork, MemListener, MemStream, MemStream) {
    let net = MemNetwork::new(7);
    let mut listener = net.listen("server").unwrap();
    let client = net.connect("client", "server").await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (net, listener, client, server)
}

async fn hangs(future: impl Future) -> bool {
    timeout(FOREVER, future).await.is_err()
}

#[tokio::test]
async fn a_dialler_reaches_a_listener_by_its_name() {
    fn is_a_dialler<D: Dial<Io = MemStream>>(dialer: D) -> D {
        dialer
    }

    let net = MemNetwork::new(1);
    let mut listener = net.listen("server").unwrap();
    let endpoint: Endpoint = listener.local_address().to_string().parse().unwrap();
    let dialer: MemDialer = is_a_dialler(net.dialer("client"));
    let (mut client, address) = dialer.oneshot(endpoint).await.unwrap();
    assert_eq!(address, listener.local_address());

    let (mut server, address) = listener.accept().await.unwrap();
    assert_eq!(address, Address::Mem("client".into()));
    client.write_all(b"x").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn an_endpoint_of_another_scheme_is_refused_by_name() {
    let dialer = MemNetwork::new(1).dialer("client");
    let error = dialer.oneshot("tcp://host:1".parse().unwrap()).await;
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "tcp://host:1 is not a mem:// endpoint");
}

#[tokio::test]
async fn a_name_is_free_again_once_its_listener_is_dropped() {
    let net = MemNetwork::new(1);
    let listener = net.listen("server").unwrap();
    assert_eq!(kind(net.listen("server")), ErrorKind::AddrInUse);
    let mut waiting = net.connect("client", "server").await.unwrap();
    drop(listener);
    assert_eq!(waiting.read(&mut [0]).await.unwrap(), 0);
    let error = net.connect("client", "server").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "nobody listens on mem://server");
    net.listen("server").unwrap();
}

#[tokio::test(start_paused = true)]
async fn connects_wait_while_the_listener_does_not_accept() {
    let net = MemNetwork::new(1);
    let mut listener = net.listen("server").unwrap();
    let mut queue = Vec::new();
    for _ in 0..128 {
        queue.push(net.connect("client", "server").await.unwrap());
    }
    let mut connect = task::spawn(net.connect("client", "server"));
    assert_pending!(connect.poll());
    listener.accept().await.unwrap();
    assert!(connect.is_woken());
    connect.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn latency_holds_back_bytes_ends_and_connects() {
    let (net, mut listener, mut client, mut server) = connected().await;
    net.link("client", "server").latency(5 * MS);
    let start = Instant::now();
    client.write_all(b"x").await.unwrap();
    drop(client);
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    assert_eq!(start.elapsed(), 5 * MS);
    assert_eq!(kind(server.read_u8().await), ErrorKind::UnexpectedEof);
    assert_eq!(start.elapsed(), 5 * MS);

    net.connect("client", "server").await.unwrap();
    listener.accept().await.unwrap();
    assert_eq!(start.elapsed(), 15 * MS);
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_arrivals_and_keeps_their_order() {
    let (net, _listener, mut client, mut server) = connected().await;
    net.link("client", "server").latency(MS).jitter(20 * MS);
    let start = Instant::now();
    for byte in 0..50 {
        client.write_all(&[byte]).await.unwrap();
    }
    let mut instants = Vec::new();
    for byte in 0..50 {
        assert_eq!(server.read_u8().await.unwrap(), byte);
        instants.push(start.elapsed());
    }
    instants.dedup();
    assert!(instants.len() > 2, "{instants:?}");
    assert!(
        instants.iter().all(|at| (MS..22 * MS).contains(at)),
        "{instants:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_pushes_back_on_the_writer() {
    let (net, _listener, mut client, mut server) = connected().await;
    let way = net.one_way("client", "server");
    way.capacity(100).bandwidth(10, MS);
    let start = Instant::now();
    let mut read = vec![0; 1000];
    let (written, got) = tokio::join!(client.write_all(&[1; 1000]), server.read_exact(&mut read));
    written.unwrap();
    got.unwrap();
    assert_eq!(start.elapsed(), 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_partition_holds_everything_and_loses_nothing() {
    let (net, mut listener, mut client, mut server) = connected().await;
    let link = net.link("client", "server");
    link.partition();
    client.write_all(b"held").await.unwrap();
    drop(client);
    let mut bytes = Vec::new();
    let mut read = task::spawn(server.read_to_end(&mut bytes));
    let mut connect = task::spawn(net.connect("client", "server"));
    assert_pending!(read.poll());
    assert_pending!(connect.poll());

    link.heal();
    assert!(read.is_woken() && connect.is_woken());
    read.await.unwrap();
    connect.await.unwrap();
    listener.accept().await.unwrap();
    assert_eq!(bytes, b"held");
}

#[tokio::test(start_paused = true)]
async fn a_partition_hides_that_the_peer_is_gone() {
    let (net, _listener, mut client, server) = connected().await;
    let link = net.link("client", "server");
    link.partition();
    drop(server);
    client.write_all(b"x").await.unwrap();
    link.heal();
    assert_eq!(kind(client.write(b"x").await), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_partition_of_one_direction_leaves_the_other_open() {
    let (net, _listener, mut client, mut server) = connected().await;
    net.one_way("client", "server").partition();
    server.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    client.write_all(b"y").await.unwrap();
    assert!(hangs(server.read_u8()).await);
}

#[tokio::test(start_paused = true)]
async fn in_a_half_open_connection_one_side_speaks_and_nobody_hears() {
    let (net, _listener, mut client, mut server) = connected().await;
    let way = net.one_way("client", "server");
    client.write_all(b"x").await.unwrap();
    way.capacity(8).swallow();
    client.write_all(&[0; 1000]).await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    assert!(hangs(server.read_u8()).await);
    server.write_all(b"y").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'y');

    // What follows a gap must not be taken for what was in it.
    way.heal();
    client.write_all(b"z").await.unwrap();
    drop(client);
    assert!(hangs(server.read_u8()).await);
    assert!(!hangs(net.connect("client", "server")).await);
}

#[tokio::test]
async fn a_torn_stream_moves_a_few_bytes_at_a_time() {
    let (net, _listener, mut client, mut server) = connected().await;
    net.link("client", "server").torn();
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        writes.push(client.write(&[0; 100]).await.unwrap());
    }
    let total: usize = writes.iter().sum();
    while reads.iter().sum::<usize>() < total {
        reads.push(server.read(&mut [0; 100]).await.unwrap());
    }
    for sizes in [writes, reads] {
        assert!(sizes.iter().all(|size| (1..16).contains(size)), "{sizes:?}");
        assert!(sizes.iter().any(|size| *size != sizes[0]), "{sizes:?}");
    }
}

#[tokio::test]
async fn a_stream_is_killed_at_the_byte_chosen() {
    for n in 0..10 {
        let (net, mut listener, mut client, mut server) = connected().await;
        net.one_way("client", "server").kill_after(n);
        let written = client.write_all(b"0123456789").await;
        assert_eq!(kind(written), ErrorKind::ConnectionReset);
        let mut bytes = Vec::new();
        let read = server.read_to_end(&mut bytes).await;
        assert_eq!(kind(read), ErrorKind::ConnectionReset);
        assert_eq!(bytes, b"0123456789"[..n as usize]);
        assert_eq!(kind(server.write(b"x").await), ErrorKind::ConnectionReset);
        assert_eq!(kind(client.read_u8().await), ErrorKind::ConnectionReset);

        // It happens once: the next stream lives.
        let mut client = net.connect("client", "server").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"0123456789").await.unwrap();
        server.read_exact(&mut [0; 10]).await.unwrap();
    }
}

#[tokio::test]
async fn a_kill_ends_both_sides_at_once_and_lets_what_was_written_arrive() {
    let (net, _listener, mut client, mut server) = connected().await;
    client.write_all(b"last").await.unwrap();
    let mut byte = [0];
    let mut read = task::spawn(client.read(&mut byte));
    assert_pending!(read.poll());
    net.link("client", "server").kill();
    assert!(read.is_woken());
    assert_eq!(kind(read.await), ErrorKind::ConnectionReset);
    let mut bytes = Vec::new();
    assert_eq!(
        kind(server.read_to_end(&mut bytes).await),
        ErrorKind::ConnectionReset
    );
    assert_eq!(bytes, b"last");
}

#[tokio::test]
async fn one_bit_of_the_byte_chosen_is_flipped() {
    let (net, _listener, mut client, mut server) = connected().await;
    net.one_way("client", "server").corrupt_after(6);
    client.write_all(&[0; 10]).await.unwrap();
    let mut bytes = [0; 10];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes[6].count_ones(), 1);
    bytes[6] = 0;
    assert_eq!(bytes, [0; 10]);
}

#[tokio::test]
async fn connects_can_be_refused() {
    let (net, _listener, ..) = connected().await;
    net.one_way("client", "server").refuse();
    let error = net.connect("client", "server").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "mem://server refuses client");
    net.connect("other", "server").await.unwrap();
    net.one_way("client", "server").heal();
    net.connect("client", "server").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_set_for_all_counts_for_open_streams_and_new_names() {
    let (net, _listener, mut client, mut server) = connected().await;
    net.all().latency(5 * MS);
    let start = Instant::now();
    client.write_all(b"x").await.unwrap();
    server.read_u8().await.unwrap();
    assert_eq!(start.elapsed(), 5 * MS);
    net.connect("newcomer", "server").await.unwrap();
    assert_eq!(start.elapsed(), 15 * MS);
    net.all().clear();
    net.connect("newcomer", "server").await.unwrap();
    assert_eq!(start.elapsed(), 15 * MS);
}
