//! Calls from the side that accepted to the side that dialled: the same in the other direction.

use std::time::Duration;

use steeple::{Execution, Kind, Options, wire::numbers::reason};
use tower::Service;

use crate::support::{
    Probe, call, cancel, dial, echo, goaway, one_way, request, response, serve, settle, soon,
};

#[tokio::test(start_paused = true)]
async fn a_server_calls_its_client_under_odd_ids() {
    let (mut client, mut server) = serve(Options::new(), echo());
    client.shake_hands().await;
    let answer = server.peer.call(call("hello", "x"));
    let seen = client.expect_request("hello").await;
    assert_eq!((seen.id % 2, &seen.body[..]), (1, &b"x"[..]));
    client.send(response(seen.id).body("y")).await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "y");
}

#[tokio::test(start_paused = true)]
async fn a_call_made_before_the_client_has_opened_waits_for_that() {
    let (mut client, mut server) = serve(Options::new(), echo());
    let answer = server.peer.call(call("hello", "x"));
    client.expect_silence().await;
    assert_eq!(server.stats().pending, 1);
    client.shake_hands().await;
    let id = client.expect_request("hello").await.id;
    client.send(response(id)).await;
    soon(answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_calls_the_peer_that_called_it() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(request(2, "back").body("x")).await;
    let seen = client.expect_request("echo").await;
    client.send(response(seen.id).body("y")).await;
    client.expect(response(2).body("y")).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_handler_takes_its_own_call_back() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(request(2, "back").body("x")).await;
    let seen = client.expect_request("echo").await;
    client.send(cancel(2, reason::DROPPED)).await;
    let frames = [client.message().await, client.message().await];
    assert!(
        frames.contains(&cancel(seen.id, reason::DROPPED)),
        "{frames:?}"
    );
    assert!(frames.iter().any(|frame| frame.id == 2), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_servers_call_has_a_deadline_and_can_be_dropped() {
    let (mut client, mut server) = serve(Options::new(), echo());
    client.shake_hands().await;
    let mut hurried = call("hello", "x");
    hurried.cx_mut().set_timeout(Duration::from_secs(1));
    let answer = server.peer.call(hurried);
    assert_eq!(
        client.expect_request("hello").await.remaining(),
        Some(1_000_000)
    );
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::MaybeExecuted)
    );
    drop(server.peer.call(call("hello", "never sent")));
    let answer = server.peer.call(call("hello", "x"));
    let id = client.expect_request("hello").await.id;
    drop(answer);
    client.expect(cancel(id, reason::DROPPED)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_serves_calls_and_one_way_messages_and_drops_a_cancelled_handler() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    server
        .send_all([request(3, "echo").body("x"), one_way("echo")])
        .await;
    server.expect(response(3).body("x")).await;
    assert_eq!(channel.stats().one_way_received, 1);

    let probe = Probe::default();
    let (near, far) = steeple::transport::mem::MemStream::pair(1024);
    let connector = steeple::Connector::new().serve(probe.service());
    let _channel = connector.connect_io(near, None);
    let mut server = crate::support::RawPeer::new(far);
    server.shake_hands().await;
    server.send(request(3, "never")).await;
    probe.until_started(1).await;
    server.send(cancel(3, reason::DROPPED)).await;
    server.expect_response(3).await;
    assert_eq!(probe.dropped(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_servers_calls_end_before_a_clients_drain_does() {
    let probe = Probe::default();
    let (near, far) = steeple::transport::mem::MemStream::pair(1024);
    let connector = steeple::Connector::new().serve(probe.service());
    let channel = connector.connect_io(near, None);
    let mut server = crate::support::RawPeer::new(far);
    server.shake_hands().await;
    server.send(request(3, "wait").body("x")).await;
    probe.until_started(1).await;
    drop(channel);
    server.expect_goaway(reason::SHUTDOWN).await;
    server.send(goaway(reason::ACK)).await;
    server.expect_silence().await;
    probe.ring();
    server.expect(response(3).body("x")).await;
    server.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_under_an_id_of_the_wrong_side_breaks_the_protocol() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client.send(request(3, "echo")).await;
    let text = client.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("cannot be the id"), "{text}");
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_one_way_message_before_the_client_has_opened_is_refused_for_that_reason() {
    let (_client, server) = serve(Options::new(), echo());
    let error = server.peer.notify(call("note", "x")).unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unavailable, Execution::NotSent)
    );
    assert!(error.to_string().contains("not open yet"), "{error}");
}
