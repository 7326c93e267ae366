//! Streams without a listener: served to their end, or one request at a time.

use std::sync::{Arc, Mutex};

use steeple::{
    BodyCompression, Connector, Error, Execution, Kind, Request,
    conn::OneByOne,
    server::serve_connection,
    transport::mem::MemStream,
    wire::numbers::{kind, reason},
};
use tower::Service;

use crate::support::{
    Probe, RawPeer, call, echo, goaway, hello, one_way, ping, pong, request, settle, soon,
    status_of,
};

/// Bytes in flight each way.
const CAPACITY: usize = 64 * 1024;

fn by_hand() -> (RawPeer, OneByOne<MemStream>) {
    let (far, near) = MemStream::pair(CAPACITY);
    (RawPeer::new(far), OneByOne::new(near))
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_served_until_its_client_leaves() {
    let (near, far) = MemStream::pair(CAPACITY);
    let serving = tokio::spawn(serve_connection(far, echo()));
    let mut channel = Connector::new().connect_io(near, None);
    soon(channel.call(call("echo", "x"))).await.unwrap();
    settle().await;
    assert!(!serving.is_finished());
    soon(channel.drain()).await;
    soon(serving).await.unwrap().unwrap();

    let (near, far) = MemStream::pair(CAPACITY);
    let serving = tokio::spawn(serve_connection(far, echo()));
    drop(near);
    let ended = soon(serving).await.unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_would_compress_is_served_in_plain() {
    let (mut client, mut connection) = by_hand();
    let mut service = echo();
    let serving = tokio::spawn(async move {
        let served = connection.serve_one(&mut service).await;
        (served, connection)
    });
    client
        .write(&[0x9D, b'z', 0xF3, b'\r', b'\n', 1, 1, 3])
        .await;
    // By which it knows that it may go on.
    client.expect_preface().await;
    client.greet().await;
    client.send(request(2, "echo").body("x")).await;
    assert_eq!(client.frame().await.kind, kind::HELLO);
    assert_eq!(client.expect_response(2).await.body, b"x");
    let (served, _connection) = soon(serving).await.unwrap();
    assert!(served.unwrap());
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_together_are_served_one_at_a_time() {
    let (mut client, mut connection) = by_hand();
    let probe = Probe::default();
    let mut service = probe.service();
    client.greet().await;
    let requests = [2, 4].map(|id| request(id, "echo").body(format!("{id}")));
    client.send_all(requests).await;

    assert!(soon(connection.serve_one(&mut service)).await.unwrap());
    assert_eq!(probe.started(), 1);
    client.expect_greeting().await;
    assert_eq!(client.expect_response(2).await.body, b"2");
    client.expect_silence().await;
    assert!(soon(connection.serve_one(&mut service)).await.unwrap());
    assert_eq!(client.expect_response(4).await.body, b"4");
    assert_eq!(probe.started(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_stream_comes_back_open_and_with_what_was_read_too_far() {
    let (mut client, mut connection) = by_hand();
    let (mut service, behind) = (echo(), request(4, "next").encode());
    client.greet().await;
    client
        .send_all([request(2, "echo"), request(4, "next")])
        .await;
    assert!(soon(connection.serve_one(&mut service)).await.unwrap());
    client.expect_greeting().await;
    client.expect_response(2).await;

    let (stream, unread) = connection.into_parts();
    assert_eq!(unread, behind);
    client.expect_silence().await;
    drop(stream);
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_body_comes_and_goes_whole() {
    let (near, far) = MemStream::pair(CAPACITY);
    let mut channel = Connector::new().connect_io(near, None);
    let body = vec![b'x'; 3 * 1024 * 1024];
    let answer = channel.call(call("echo", body.clone()));
    let serving = tokio::spawn(async move {
        let mut connection = OneByOne::new(far);
        let served = connection.serve_one(&mut echo()).await;
        (served, connection)
    });
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), &*body);
    let (served, _connection) = soon(serving).await.unwrap();
    assert!(served.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_answered_on_the_way_to_one() {
    let (mut client, mut connection) = by_hand();
    let probe = Probe::default();
    let mut service = probe.service();
    client.greet().await;
    client.send_all([ping(7), one_way("echo"), ping(8)]).await;
    assert!(soon(connection.serve_one(&mut service)).await.unwrap());
    assert_eq!(probe.finished(), 1);

    client.send(request(2, "no such")).await;
    assert!(soon(connection.serve_one(&mut service)).await.unwrap());
    client.expect_greeting().await;
    client.expect(pong(7)).await;
    client.expect(pong(8)).await;
    let (status, not_processed, _) = status_of(&client.expect_response(2).await);
    assert_ne!(status, 0);
    assert!(!not_processed);

    client.send(goaway(reason::SHUTDOWN)).await;
    client.shutdown().await;
    assert!(!soon(connection.serve_one(&mut service)).await.unwrap());
    let frame = client.frame().await;
    assert_eq!((frame.kind, frame.code), (kind::GOAWAY, reason::ACK));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_told_from_one_that_breaks_off() {
    let (mut client, mut connection) = by_hand();
    client.greet().await;
    client.shutdown().await;
    assert!(!soon(connection.serve_one(&mut echo())).await.unwrap());

    let (mut client, mut connection) = by_hand();
    client.greet().await;
    let bytes = request(2, "echo").encode();
    client.write(&bytes[..bytes.len() - 1]).await;
    client.shutdown().await;
    let error: Error = soon(connection.serve_one(&mut echo())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection);
    assert!(error.to_string().contains("in the midst"), "{error}");

    let (mut client, mut connection) = by_hand();
    client.greet().await;
    client.send(hello()).await;
    let error = soon(connection.serve_one(&mut echo())).await.unwrap_err();
    assert!(error.to_string().contains("a second HELLO"), "{error}");
    client.expect_greeting().await;
    assert!(
        client
            .expect_goaway(reason::PROTOCOL)
            .await
            .contains("a second HELLO")
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_dropped_when_its_deadline_has_passed() {
    let (near, far) = MemStream::pair(CAPACITY);
    let mut channel = Connector::new().connect_io(near, None);
    let mut never = call("never", "");
    never
        .cx_mut()
        .set_timeout(std::time::Duration::from_secs(1));
    let answer = channel.call(never);
    let probe = Probe::default();
    let mut connection = OneByOne::new(far);
    assert!(
        soon(connection.serve_one(&mut probe.service()))
            .await
            .unwrap()
    );
    assert_eq!((probe.started(), probe.dropped()), (1, 1));
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::MaybeExecuted)
    );
}

#[tokio::test(start_paused = true)]
async fn the_client_is_answered_what_it_needs_before_a_handler_runs() {
    let (mut client, mut connection) = by_hand();
    let probe = Probe::default();
    let mut service = probe.service();
    let serving = tokio::spawn(async move { connection.serve_one(&mut service).await });
    client.greet().await;
    client.send_all([ping(7), request(2, "wait")]).await;
    probe.until_started(1).await;
    client.expect_greeting().await;
    client.expect(pong(7)).await;
    probe.ring();
    client.expect_response(2).await;
    assert!(soon(serving).await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_answer_leaves_nothing_unsaid() {
    let (mut client, mut connection) = by_hand();
    client.greet().await;
    client.send_all([ping(7), one_way("echo")]).await;
    assert!(soon(connection.serve_one(&mut echo())).await.unwrap());
    client.expect_greeting().await;
    client.expect(pong(7)).await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_request_is_served_in_plain() {
    let (near, far) = MemStream::pair(CAPACITY);
    let mut channel = Connector::new().connect_io(near, None);
    let mut connection = OneByOne::new(far);
    let mut service = echo();
    let serving = tokio::spawn(async move {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let mut service = tower::service_fn(move |request: Request| {
            told.lock().unwrap().push(request.body().as_bytes().clone());
            service.call(request)
        });
        for _ in 0..2 {
            assert!(connection.serve_one(&mut service).await.unwrap());
        }
        let seen = seen.lock().unwrap().clone();
        (seen, connection)
    });
    let body = vec![b'x'; 100_000];
    // By the second call, the client knows what is decoded here.
    for _ in 0..2 {
        let mut request = call("echo", body.clone());
        let compressed = std::mem::take(request.body_mut()).with_compression(BodyCompression::Lz4);
        *request.body_mut() = compressed;
        let answer = soon(channel.call(request)).await.unwrap();
        assert_eq!(answer.body().as_bytes(), &*body);
    }
    assert_eq!(channel.stats().compressed, 1);
    let (seen, _connection) = soon(serving).await.unwrap();
    assert!(seen.iter().all(|it| it == &*body));
}
