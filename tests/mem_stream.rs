//! A stream in memory ends, fails and pushes back like one of TCP.

use std::{
    io::{self, ErrorKind, IoSlice},
    time::Duration,
};

use steeple::transport::{
    Listener,
    mem::{MemNetwork, MemStream},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};
use tokio_test::{assert_pending, assert_ready_ok, task};

const MS: Duration = Duration::from_millis(1);

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn bytes_go_both_ways() {
    let (mut a, mut b) = MemStream::pair(64);
    a.write_all(b"ping").await.unwrap();
    b.write_all(b"pong").await.unwrap();
    let mut bytes = [0; 4];
    b.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    a.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"pong");
}

#[tokio::test]
async fn a_full_stream_pushes_back_until_it_is_read() {
    let (mut a, mut b) = MemStream::pair(4);
    assert_eq!(a.write(b"abcdef").await.unwrap(), 4);
    let mut write = task::spawn(a.write(b"ef"));
    assert_pending!(write.poll());

    assert_eq!(b.read(&mut [0; 1]).await.unwrap(), 1);
    assert!(write.is_woken());
    assert_eq!(assert_ready_ok!(write.poll()), 1);
}

#[tokio::test]
async fn a_capacity_of_zero_still_lets_a_byte_through() {
    let (mut a, mut b) = MemStream::pair(0);
    assert_eq!(a.write(b"ab").await.unwrap(), 1);
    assert_eq!(b.read_u8().await.unwrap(), b'a');
}

#[tokio::test]
async fn a_reader_is_woken_by_the_first_byte() {
    let (mut a, mut b) = MemStream::pair(64);
    let mut byte = [0];
    let mut read = task::spawn(b.read(&mut byte));
    assert_pending!(read.poll());
    a.write_all(b"x").await.unwrap();
    assert!(read.is_woken());
    assert_eq!(assert_ready_ok!(read.poll()), 1);
}

#[tokio::test]
async fn a_reader_is_woken_by_the_end() {
    let (mut a, mut b) = MemStream::pair(64);
    let mut byte = [0];
    let mut read = task::spawn(b.read(&mut byte));
    assert_pending!(read.poll());
    a.shutdown().await.unwrap();
    assert!(read.is_woken());
    assert_eq!(assert_ready_ok!(read.poll()), 0);
}

#[tokio::test]
async fn many_slices_are_one_write() {
    let (mut a, mut b) = MemStream::pair(5);
    let slices = [b"ab", b"cd", b"ef"].map(|slice| IoSlice::new(slice));
    assert_eq!(a.write_vectored(&slices).await.unwrap(), 5);
    let mut bytes = [0; 8];
    assert_eq!(b.read(&mut bytes).await.unwrap(), 5);
    assert_eq!(&bytes[..5], b"abcde");
}

#[tokio::test]
async fn nothing_to_write_and_no_room_to_read_are_done_at_once() {
    let (mut a, mut b) = MemStream::pair(1);
    a.write_all(b"x").await.unwrap();
    assert_eq!(a.write(b"").await.unwrap(), 0);
    assert_eq!(b.read(&mut []).await.unwrap(), 0);
}

#[tokio::test]
async fn one_direction_ends_and_the_other_goes_on() {
    let (mut a, mut b) = MemStream::pair(64);
    a.write_all(b"request").await.unwrap();
    a.shutdown().await.unwrap();
    a.shutdown().await.unwrap();
    assert_eq!(kind(a.write(b"more").await), ErrorKind::BrokenPipe);

    let mut request = String::new();
    b.read_to_string(&mut request).await.unwrap();
    assert_eq!(request, "request");
    b.write_all(b"answer").await.unwrap();
    drop(b);
    let mut answer = String::new();
    a.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn a_drop_with_nothing_unread_is_the_end_of_the_stream() {
    let (mut a, mut b) = MemStream::pair(64);
    b.write_all(b"bye").await.unwrap();
    drop(b);
    let mut bytes = Vec::new();
    a.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"bye");
    assert_eq!(kind(a.write(b"hello?").await), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_drop_with_bytes_unread_is_a_reset() {
    let (mut a, b) = MemStream::pair(64);
    a.write_all(b"unread").await.unwrap();
    drop(b);
    assert_eq!(kind(a.read(&mut [0]).await), ErrorKind::ConnectionReset);
    assert_eq!(kind(a.write(b"x").await), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_reset_destroys_the_answer_that_is_still_on_its_way() {
    let net = MemNetwork::new(1);
    let (mut client, mut server) = connect(&net).await;
    net.link("client", "server").latency(5 * MS);
    client.write_all(b"unread").await.unwrap();
    server.write_all(b"answer").await.unwrap();
    drop(server);
    let mut bytes = Vec::new();
    let result = client.read_to_end(&mut bytes).await;
    assert_eq!(kind(result), ErrorKind::ConnectionReset);
    assert!(bytes.is_empty());
}

#[tokio::test]
async fn a_blocked_writer_is_told_that_its_reader_is_gone() {
    let (mut a, b) = MemStream::pair(1);
    a.write_all(b"x").await.unwrap();
    let mut write = task::spawn(a.write(b"y"));
    assert_pending!(write.poll());
    drop(b);
    assert!(write.is_woken());
    let error = tokio_test::assert_ready_err!(write.poll());
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn the_word_of_a_drop_travels_as_long_as_a_byte() {
    let net = MemNetwork::new(1);
    let (mut client, server) = connect(&net).await;
    net.link("client", "server").capacity(1).latency(5 * MS);
    let start = Instant::now();
    drop(server);
    client.write_all(b"x").await.unwrap();
    let blocked = timeout(Duration::from_secs(1), client.write(b"y")).await;
    assert_eq!(kind(blocked.unwrap()), ErrorKind::BrokenPipe);
    assert_eq!(start.elapsed(), 5 * MS);
}

#[tokio::test]
async fn a_stream_that_is_always_ready_lets_other_tasks_run() {
    let net = MemNetwork::new(1);
    let (mut client, _server) = connect(&net).await;
    net.one_way("client", "server").swallow();
    let flood = tokio::spawn(async move {
        for _ in 0..10_000 {
            client.write_all(b"x").await.unwrap();
        }
    });
    tokio::task::yield_now().await;
    assert!(!flood.is_finished());
    flood.await.unwrap();
}

async fn connect(net: &MemNetwork) -> (MemStream, MemStream) {
    let mut listener = net.listen("server").unwrap();
    let client = net.connect("client", "server").await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}
