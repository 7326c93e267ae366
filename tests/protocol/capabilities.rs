//! What a connection does on a wire that cannot carry everything: a test for each thing that one may lack.

use std::time::Duration;

use steeple::{
    Channel, Connector, Error, Execution, Kind, Options, Request, Response,
    conn::{Builder, OneByOne},
    transport::mem::MemStream,
    wire::{
        Role,
        numbers::{kind, reason, status},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};
use tokio_test::{assert_pending, task};
use tower::{Service, service_fn};

use crate::{
    lesser::{Lesser, without},
    support::{Probe, RawPeer, bind, call, cancel, echo, request, response, soon, status_of},
};

const SECOND: Duration = Duration::from_secs(1);

/// A client on this wire, and the server's end.
fn dial(wire: Lesser, options: Options) -> (Channel, RawPeer) {
    let (near, far) = MemStream::pair(1 << 20);
    let connector = Connector::new().wire(wire).options(options).serve(echo());
    (connector.connect_io(near, None), RawPeer::new(far))
}

/// A server on this wire, and the client's end.
fn serve<S>(wire: Lesser, service: S) -> (RawPeer, steeple::Peer)
where
    S: Service<Request, Response = Response, Error = Error, Future: Send> + Send + 'static,
{
    let (near, far) = MemStream::pair(1 << 20);
    let builder = Builder::new(Role::Acceptor).wire(wire);
    let (peer, connection) = builder.build(near, service);
    tokio::spawn(connection);
    (RawPeer::new(far), peer)
}

#[tokio::test(start_paused = true)]
async fn without_a_hello_a_connection_is_open_at_once_on_either_side() {
    let wire = without(|it| it.hello = false);
    let (mut channel, mut server) = dial(wire.clone(), Options::new());
    soon(channel.handshaken()).await.unwrap();
    let answer = channel.call(call("echo", "x"));
    let id = server.expect_request("echo").await.id;
    server.send(response(id).body("y")).await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "y");
    // Long past the time in which a peer has to open.
    sleep(20 * SECOND).await;
    assert!(!channel.is_closed());

    let (mut client, mut peer) = serve(wire, Probe::default().service());
    soon(peer.handshaken()).await.unwrap();
    let answer = peer.call(call("back", "x"));
    let id = client.expect_request("back").await.id;
    client.send(response(id).body("y")).await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "y");
    client.send(request(2, "echo").body("z")).await;
    client.expect(response(2).body("z")).await;
}

#[tokio::test(start_paused = true)]
async fn without_cancel_a_dropped_call_runs_on_and_holds_its_place_until_it_is_answered() {
    let wire = without(|it| it.cancel = false);
    let (mut channel, mut server) = dial(wire, Options::new().max_calls(1));
    server.shake_hands().await;
    let dropped = channel.call(call("long", "x"));
    let id = server.expect_request("long").await.id;
    drop(dropped);
    let answer = channel.call(call("echo", "y"));
    server.expect_silence().await;
    assert_eq!((channel.stats().in_flight, channel.stats().pending), (1, 1));
    server.send(response(id).body("late")).await;
    let id = server.expect_request("echo").await.id;
    server.send(response(id).body("y")).await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "y");
    assert_eq!(channel.stats().late_answers, 1);
}

#[tokio::test(start_paused = true)]
async fn without_deadlines_they_are_kept_on_this_side_and_the_peer_is_told_when_they_pass() {
    let timed = || {
        let mut request = call("never", "x");
        request.cx_mut().set_timeout(SECOND);
        request
    };
    let (mut channel, mut server) = dial(without(|it| it.deadline = false), Options::new());
    server.shake_hands().await;
    let answer = channel.call(timed());
    let asked = server.expect_request("never").await;
    assert_eq!(asked.remaining(), None);
    let error = soon(answer).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(error.execution(), Execution::MaybeExecuted);
    server.expect(cancel(asked.id, reason::TIMEOUT)).await;

    let neither = without(|it| (it.deadline, it.cancel) = (false, false));
    let (mut channel, mut server) = dial(neither, Options::new());
    server.shake_hands().await;
    let answer = channel.call(timed());
    server.expect_request("never").await;
    assert_eq!(soon(answer).await.unwrap_err().kind(), Kind::Timeout);
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn without_metadata_what_has_some_is_refused_and_never_sent_bare() {
    let wire = without(|it| it.metadata = false);
    let tagged = |body| {
        let mut request = call("echo", body);
        request.metadata_mut().insert("tenant", "A");
        request
    };
    let refused = |error: Error| {
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.execution(), Execution::NotSent);
        assert_eq!(error.to_string(), "this wire carries no metadata");
    };
    let (mut channel, mut server) = dial(wire.clone(), Options::new().max_calls(1));
    server.shake_hands().await;
    refused(soon(channel.call(tagged("x"))).await.unwrap_err());
    refused(channel.notify(tagged("x")).unwrap_err());
    let first = channel.call(call("echo", "first"));
    let waiting = channel.call(tagged("x"));
    let id = server.expect_request("echo").await.id;
    server.send(response(id)).await;
    soon(first).await.unwrap();
    refused(soon(waiting).await.unwrap_err());
    server.expect_silence().await;
    assert_eq!(channel.stats().calls.errors(Kind::Invalid), 2);

    let tagging = service_fn(|request: Request| async move {
        let mut response = Response::new(request.into_body());
        response.metadata_mut().insert("tenant", "A");
        Ok::<_, Error>(response)
    });
    let (mut client, _peer) = serve(wire, tagging);
    client.shake_hands().await;
    client.send(request(2, "echo").body("x")).await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::INVALID, false));
    assert_eq!(text, "this wire carries no metadata");
}

#[tokio::test(start_paused = true)]
async fn without_one_way_messages_they_are_refused() {
    let (mut channel, mut server) = dial(without(|it| it.one_way = false), Options::new());
    server.shake_hands().await;
    for len in [0, 100_000] {
        let error = channel.notify(call("note", vec![0; len])).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.execution(), Execution::NotSent);
        assert!(error.to_string().contains("without an answer"), "{error}");
    }
    server.expect_silence().await;
    let _answer = channel.call(call("echo", "x"));
    server.expect_request("echo").await;
}

#[tokio::test(start_paused = true)]
async fn without_duplex_the_side_that_accepted_calls_nobody() {
    let wire = without(|it| it.duplex = false);
    let (mut client, mut peer) = serve(wire.clone(), Probe::default().service());
    client.shake_hands().await;
    let errors = [
        soon(peer.call(call("echo", "x"))).await.unwrap_err(),
        peer.notify(call("echo", "x")).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.execution(), Execution::NotSent);
        assert!(
            error.to_string().contains("only the side that dialled"),
            "{error}"
        );
    }
    client.expect_silence().await;
    client.send(request(2, "echo").body("x")).await;
    client.expect(response(2).body("x")).await;

    let (mut channel, mut server) = dial(wire, Options::new());
    server.shake_hands().await;
    let _answer = channel.call(call("echo", "x"));
    server.expect_request("echo").await;
}

#[tokio::test(start_paused = true)]
async fn without_a_farewell_a_drain_ends_when_nothing_is_under_way() {
    let wire = without(|it| it.drain = false);
    let (mut channel, mut server) = dial(wire.clone(), Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "x"));
    let id = server.expect_request("echo").await.id;
    let clone = channel.clone();
    let mut drain = task::spawn(clone.drain());
    assert_pending!(drain.poll());
    server.expect_silence().await;
    let error = soon(channel.call(call("echo", "y"))).await.unwrap_err();
    assert_eq!(error.execution(), Execution::NotSent);
    server.send(response(id)).await;
    soon(answer).await.unwrap();
    server.expect_eof().await;
    server.shutdown().await;
    soon(drain).await;

    let probe = Probe::default();
    let (mut client, peer) = serve(wire, probe.service());
    client.shake_hands().await;
    client.send(request(2, "wait").body("x")).await;
    probe.until_started(1).await;
    let mut drain = task::spawn(peer.drain());
    assert_pending!(drain.poll());
    client.expect_silence().await;
    probe.ring();
    client.expect(response(2).body("x")).await;
    client.expect_eof().await;
    client.shutdown().await;
    soon(drain).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_farewell_a_peer_that_breaks_the_rules_is_left_without_a_word() {
    let wire = without(|it| it.drain = false);
    let (mut client, peer) = serve(wire.clone(), Probe::default().service());
    client.shake_hands().await;
    client.send(bind(7, "not the next number")).await;
    client.expect_eof().await;
    client.shutdown().await;
    soon(peer.closed()).await;

    let (near, mut far) = MemStream::pair(1024);
    let mut one_by_one = OneByOne::with_wire(near, wire);
    far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut service = Probe::default().service();
    let error = soon(one_by_one.serve_one(&mut service)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection);
    drop(one_by_one);
    let mut said = Vec::new();
    soon(far.read_to_end(&mut said)).await.unwrap();
    assert_eq!(said, b"");
}

#[tokio::test(start_paused = true)]
async fn without_pings_silence_is_not_asked_about_and_other_limits_hold() {
    let wire = without(|it| it.ping = false);
    let options = Options::new().keepalive(SECOND).read_idle(60 * SECOND);
    let (channel, mut server) = dial(wire, options);
    server.shake_hands().await;
    let error = soon(channel.ping()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    sleep(30 * SECOND).await;
    server.expect_silence().await;
    assert!(!channel.is_closed());
    sleep(31 * SECOND).await;
    server.expect_goaway(reason::IDLE).await;
}

#[tokio::test(start_paused = true)]
async fn without_pings_a_long_body_goes_as_fast_as_the_stream_takes_it() {
    let (mut channel, mut server) = dial(without(|it| it.ping = false), Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", vec![7; 500_000]));
    let first = server.expect_request("echo").await;
    let mut len = first.body.len();
    while len < 500_000 {
        // A mark would have come as a PING.
        let frame = server.frame().await;
        assert_eq!(frame.kind, kind::DATA, "{frame:?}");
        len += frame.body.len();
    }
    server.send(response(first.id)).await;
    soon(answer).await.unwrap();
}
