//! Bodies that are compressed on their way, and those that are not.

use std::time::Duration;

use steeple::{
    Body, BodyCompression, Channel, Client, Connector, Error, Execution, Kind, Options, Peer,
    Request, Response, RpcService,
    conn::{Builder, Quota},
    layers::CompressionLayer,
    transport::mem::MemStream,
    wire::{
        Role,
        compression::compress,
        native::{Limits, Native},
        numbers::{compression, flag, hello, kind, status},
    },
};
use tower::{Layer, Service, service_fn};

use crate::support::{
    Frame, RawPeer, call, dial, hello as silent_hello, request, response, serve_with, status_of,
};

const ALL: [BodyCompression; 2] = [BodyCompression::Lz4, BodyCompression::Zstd];

/// A service that answers with the bytes that it got.
fn echo() -> impl RpcService<Error = Error> + Clone + Send + 'static {
    service_fn(async |request: Request| {
        assert!(!request.body().is_compressed());
        let bytes = request.into_body().into_bytes();
        Ok::<_, Error>(Response::new(bytes.into()))
    })
}

/// The same, in a task of its own.
fn slow_echo() -> impl RpcService<Error = Error> + Clone + Send + 'static {
    service_fn(async |request: Request| {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let bytes = request.into_body().into_bytes();
        Ok::<_, Error>(Response::new(bytes.into()))
    })
}

/// A wire that decodes these.
fn decoding(compressions: &[BodyCompression]) -> Native {
    Native::new(Limits::new().compressions(compressions.to_vec()))
}

/// A client that decodes `near` of a server that decodes `far`, both with their openings read.
async fn connect(
    near: &[BodyCompression],
    far: &[BodyCompression],
    service: impl RpcService + Send + 'static,
) -> (Channel, Peer) {
    let (client, server) = MemStream::pair(64 * 1024);
    let builder = Builder::new(Role::Acceptor).wire(decoding(far));
    let (peer, connection) = builder.build(server, service);
    tokio::spawn(connection);
    let channel = Connector::new()
        .wire(decoding(near))
        .connect_io(client, None);
    channel.handshaken().await.unwrap();
    peer.handshaken().await.unwrap();
    (channel, peer)
}

fn text(len: usize) -> Vec<u8> {
    b"the quick brown fox jumps over the lazy dog, "
        .iter()
        .copied()
        .cycle()
        .take(len)
        .collect()
}

fn layer(compression: BodyCompression) -> CompressionLayer {
    match compression {
        BodyCompression::Zstd => CompressionLayer::zstd(),
        _ => CompressionLayer::lz4(),
    }
}

#[tokio::test(start_paused = true)]
async fn long_bodies_travel_compressed_in_both_directions_and_nobody_sees_it() {
    for compression in ALL {
        let service = layer(compression).layer(slow_echo());
        let (channel, server) = connect(&ALL, &ALL, service).await;
        let mut client = layer(compression).layer(channel.clone());
        for len in [1024, 10_000, 300_000, 5_000_000] {
            let plain = text(len);
            let answer = client.call(call("Echo", plain.clone())).await.unwrap();
            assert_eq!(answer.body().as_bytes(), &plain);
        }
        for stats in [channel.stats(), server.stats()] {
            assert_eq!((stats.compressed, stats.compression_refused), (4, 0));
            assert!(stats.compression_saved > 5_000_000, "{stats:?}");
            assert!(stats.bytes_written < 200_000, "{stats:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn short_bodies_and_those_that_do_not_get_shorter_travel_as_they_are() {
    let (channel, _server) = connect(&ALL, &ALL, echo()).await;
    let noise: Vec<u8> = std::iter::repeat_with({
        let mut rng = fastrand::Rng::with_seed(1);
        move || rng.u8(..)
    })
    .take(100_000)
    .collect();
    for compression in ALL {
        let mut client = layer(compression).layer(channel.clone());
        for plain in [text(1023), noise.clone(), Vec::new()] {
            let answer = client.call(call("Echo", plain.clone())).await.unwrap();
            assert_eq!(answer.body().as_bytes(), &plain);
        }
    }
    assert_eq!(channel.stats().compressed, 0);
    assert_eq!(channel.stats().compression_refused, 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_decode_it_gets_it_plain_and_that_is_counted() {
    for (near, far) in [(&ALL[..], &[][..]), (&[], &ALL), (&ALL[..1], &ALL[1..])] {
        let service = CompressionLayer::zstd().layer(echo());
        let (channel, server) = connect(near, far, service).await;
        let mut client = CompressionLayer::zstd().layer(channel.clone());
        let plain = text(10_000);
        let answer = client.call(call("Echo", plain.clone())).await.unwrap();
        assert_eq!(answer.body().as_bytes(), &plain);
        for (stats, peer) in [(channel.stats(), far), (server.stats(), near)] {
            let decoded = u64::from(peer.contains(&BodyCompression::Zstd));
            assert_eq!(stats.compressed, decoded);
            assert_eq!(stats.compression_refused, 1 - decoded);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_before_the_peer_has_opened_goes_plain() {
    let (channel, mut server) = dial(Options::new());
    let mut client = CompressionLayer::lz4().layer(channel.clone());
    let _answer = client.call(call("Echo", text(2000)));
    server.shake_hands().await;
    let request = server.expect_request("Echo").await;
    assert_eq!(
        (request.flags & flag::COMPRESSED, request.body),
        (0, text(2000))
    );
    assert_eq!(channel.stats().compression_refused, 1);
}

#[tokio::test(start_paused = true)]
async fn batches_and_messages_without_an_answer_are_compressed_too() {
    let (seen, mut told) = tokio::sync::mpsc::unbounded_channel();
    let service = CompressionLayer::lz4().layer(service_fn(move |request: Request| {
        let bytes = request.into_body().into_bytes();
        seen.send(bytes.clone()).unwrap();
        async { Ok::<_, Error>(Response::new(bytes.into())) }
    }));
    let (channel, server) = connect(&ALL, &ALL, service).await;
    let marked = |bytes: Vec<u8>| Body::from(bytes).with_compression(BodyCompression::Zstd);
    channel
        .notify(Request::new("Tell", marked(text(5000))))
        .unwrap();
    assert_eq!(told.recv().await.unwrap(), text(5000));

    let client = Client::new(channel.clone());
    let batch = client.batch();
    let first = batch.call::<Vec<u8>>("Echo", marked(text(2000))).unwrap();
    let second = batch
        .call::<Vec<u8>>("Echo", marked(text(300_000)))
        .unwrap();
    batch.run().await.unwrap();
    assert_eq!(first.take().unwrap(), text(2000));
    assert_eq!(second.await.unwrap(), text(300_000));
    assert_eq!(channel.stats().compressed, 3);
    assert_eq!(server.stats().compressed, 2);
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_the_service_wait_as_they_came() {
    // One at a time, and the bytes of no more than a few plain bodies may wait.
    let options = Options::new().max_handlers(1).max_waiting(100, 100_000);
    let (client, server) = MemStream::pair(64 * 1024);
    let (_peer, connection) = Builder::new(Role::Acceptor)
        .options(options)
        .build(server, slow_echo());
    tokio::spawn(connection);
    let channel = Connector::new().connect_io(client, None);
    channel.handshaken().await.unwrap();
    let mut client = CompressionLayer::zstd().layer(channel);
    let calls: Vec<_> = (0..50)
        .map(|_| client.call(call("Echo", text(50_000))))
        .collect();
    for answer in calls {
        assert_eq!(answer.await.unwrap().body().as_bytes(), &text(50_000));
    }
}

/// A client by hand that decodes these, and a server of slow echoes.
async fn by_hand(options: Options, limits: Limits, compressions: &[u8]) -> RawPeer {
    let wire = Native::new(limits);
    let service = CompressionLayer::lz4().layer(slow_echo());
    let (mut client, _server) = serve_with(options, wire, 64 * 1024, service);
    client.write(&crate::support::magic(1, 1)).await;
    let mut tlv = hello::COMPRESSIONS.to_le_bytes().to_vec();
    tlv.extend((compressions.len() as u16).to_le_bytes());
    tlv.extend(compressions);
    client.send(silent_hello().body(tlv)).await;
    let greeting = client.expect_greeting().await;
    assert!(
        greeting
            .body
            .windows(6)
            .any(|it| it == [7, 0, 2, 0, compression::ZSTD, compression::LZ4])
    );
    client
}

/// The bytes of a compressed body.
fn compressed(plain: Vec<u8>, compression: BodyCompression) -> Vec<u8> {
    let body = compress(Body::from(plain).with_compression(compression));
    assert!(body.is_compressed());
    body.into_bytes().to_vec()
}

/// A bomb that was well made: `len` bytes that say they are `announced`.
fn bomb(len: usize, announced: u32) -> Vec<u8> {
    let mut bytes = compressed(vec![0; len], BodyCompression::Zstd);
    bytes[1..5].copy_from_slice(&announced.to_le_bytes());
    bytes
}

fn deflate(id: u32, body: &[u8]) -> Frame {
    request(id, "Echo").flags(flag::COMPRESSED).body(body)
}

#[tokio::test(start_paused = true)]
async fn numbers_that_are_not_known_are_no_harm_in_an_opening() {
    let mut client = by_hand(Options::new(), Limits::new(), &[99, compression::LZ4]).await;
    client.send(request(2, "Echo").body(text(3000))).await;
    let answer = client.expect_response(2).await;
    assert_eq!(answer.flags & flag::COMPRESSED, flag::COMPRESSED);
    assert_eq!(answer.body[..5], [compression::LZ4, 0xb8, 0x0b, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_bomb_fails_its_call_and_the_connection_lives() {
    let limits = Limits::new().max_message(1024 * 1024);
    let mut client = by_hand(Options::new(), limits, &[]).await;
    let lz4 = compressed(vec![0; 2000], BodyCompression::Lz4);
    for (id, body, expected, says) in [
        (
            2,
            bomb(64 << 20, 64 << 20),
            status::EXHAUSTED,
            "max_message (1048576)",
        ),
        (
            4,
            bomb(64 << 20, 1 << 20),
            status::INVALID,
            "decompressed by Zstandard",
        ),
        (
            6,
            bomb(1000, 500_000),
            status::INVALID,
            "announces 500000 bytes and has 1000",
        ),
        (
            8,
            bomb(1000, 999),
            status::INVALID,
            "decompressed by Zstandard",
        ),
        (10, lz4[..lz4.len() - 1].to_vec(), status::INVALID, "LZ4"),
        (
            12,
            vec![1, 0xd0, 7, 0, 0],
            status::INVALID,
            "cannot stand for 2000",
        ),
        (14, Vec::new(), status::INVALID, "at least 5 bytes"),
        (16, vec![77; 50], status::UNIMPLEMENTED, "compression 77"),
    ] {
        client.send(deflate(id, &body)).await;
        let answer = client.expect_response(id).await;
        let (code, not_processed, text) = status_of(&answer);
        assert_eq!((code, not_processed), (expected, true), "{text}");
        assert!(text.contains(says), "{text}");
    }
    client.send(deflate(18, &lz4)).await;
    client.expect(response(18).body(vec![0; 2000])).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_decompressed_for_handlers_that_run_is_bounded() {
    let quota = Quota::new().max_expanded(150_000);
    let mut client = by_hand(Options::new().quota(quota), Limits::new(), &[]).await;
    let body = compressed(vec![7; 100_000], BodyCompression::Zstd);
    client
        .send_all([deflate(2, &body), deflate(4, &body)])
        .await;
    let (code, not_processed, text) = status_of(&client.expect_response(4).await);
    assert_eq!((code, not_processed), (status::EXHAUSTED, true));
    assert!(text.contains("max_expanded (150000 bytes)"), "{text}");
    // The first is answered in two pieces, and then there is room again.
    let first = client.expect_response(2).await;
    assert_eq!(first.total, Some(100_000));
    client.message().await;
    client.send(deflate(6, &body)).await;
    assert_eq!(client.expect_response(6).await.code, status::OK);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_a_bomb_fails_its_call_and_no_other() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut client = channel.clone();
    for (body, says) in [
        (bomb(64 << 20, 1 << 20), "decompressed by Zstandard"),
        (bomb(65 << 20, 65 << 20), "max_message"),
        (vec![1, 0xff, 0xff, 0xff, 0xff, 0], "cannot stand for"),
    ] {
        let answer = client.call(call("Get", "x"));
        let id = server.expect_request("Get").await.id;
        server
            .send(response(id).flags(flag::COMPRESSED).body(body))
            .await;
        let error = answer.await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert_eq!(error.execution(), Execution::Executed);
        assert!(error.to_string().contains(says), "{error}");
    }
    let answer = client.call(call("Get", "x"));
    let frame = server.expect_request("Get").await;
    assert_eq!(frame.kind, kind::REQUEST);
    server.send(response(frame.id).body("fine")).await;
    assert_eq!(answer.await.unwrap().body().as_bytes(), "fine");
}

#[tokio::test]
async fn a_call_whose_policy_says_so_is_left_alone_in_both_directions() {
    let service = service_fn(|request: Request| async move {
        let marked = request.body().compression().is_some();
        assert_eq!(marked, request.method() == "Marked");
        Ok::<_, Error>(Response::new(text(4096).into()))
    });
    let mut stack = layer(BodyCompression::Lz4).layer(service);
    for (compression, method) in [
        (None, "Marked"),
        (Some(true), "Marked"),
        (Some(false), "Plain"),
    ] {
        let mut request = Request::new(method, text(4096).into());
        request.cx_mut().set_compression(compression);
        let answer = stack.call(request).await.unwrap();
        let marked = answer.body().compression().is_some();
        assert_eq!(marked, method == "Marked");
    }
}
