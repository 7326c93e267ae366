//! How a connection ends in order, from either side.

use std::time::Duration;

use steeple::{
    Execution, Kind, Options, Origin,
    wire::numbers::{kind, reason, status},
};
use tokio_test::{assert_pending, task};
use tower::Service;

use crate::support::{
    Gate, Probe, call, dial, echo, goaway, magic, request, response, serve, settle, soon, status_of,
};

#[tokio::test(start_paused = true)]
async fn a_server_that_drains_serves_what_crosses_its_goodbye() {
    let probe = Probe::default();
    let (mut client, server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(request(2, "wait").body("early")).await;
    probe.until_started(1).await;
    let mut drain = task::spawn(server.drain());
    assert_pending!(drain.poll());
    client.expect_goaway(reason::SHUTDOWN).await;
    client
        .send_all([request(4, "echo").body("crossing"), goaway(reason::ACK)])
        .await;
    client.expect(response(4).body("crossing")).await;
    client.expect_silence().await;
    assert!(!server.is_closed(), "an answer is owed");
    probe.ring();
    client.expect(response(2).body("early")).await;
    client.expect_eof().await;
    drop(client);
    soon(drain).await;
    server.ended().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_waits_for_the_acknowledgement_before_it_closes() {
    let (mut client, server) = serve(Options::new(), echo());
    client.shake_hands().await;
    let mut drain = task::spawn(server.drain());
    assert_pending!(drain.poll());
    client.expect_goaway(reason::SHUTDOWN).await;
    client.expect_silence().await;
    client.send(goaway(reason::ACK)).await;
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drains_finishes_its_calls_and_begins_no_other() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "x"));
    let id = server.expect_request("echo").await.id;
    let mut clone = channel.clone();
    let mut drain = task::spawn(channel.drain());
    assert_pending!(drain.poll());
    server.expect_goaway(reason::SHUTDOWN).await;
    let error = soon(clone.call(call("echo", "late"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.origin(), error.execution()),
        (Kind::Unavailable, Origin::Local, Execution::NotSent)
    );
    server.send(goaway(reason::ACK)).await;
    server.expect_silence().await;
    server.send(response(id).body("y")).await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "y");
    server.expect_eof().await;
    drop(server);
    soon(drain).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_acknowledges_a_goodbye_and_its_calls_are_none_in_doubt() {
    let (mut channel, mut server) = dial(Options::new().max_calls(1));
    server.shake_hands().await;
    let sent = channel.call(call("echo", "sent"));
    let pending = channel.call(call("echo", "pending"));
    let id = server.expect_request("echo").await.id;
    server.send(goaway(reason::SHUTDOWN)).await;
    server.expect(goaway(reason::ACK)).await;
    let error = soon(pending).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unavailable, Execution::NotSent)
    );
    let error = soon(channel.call(call("echo", "new"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unavailable, Execution::NotSent)
    );
    soon(channel.draining()).await;
    server.send(response(id)).await;
    soon(sent).await.unwrap();
    server.shutdown().await;
    soon(channel.closed()).await;
}

#[tokio::test(start_paused = true)]
async fn the_acknowledgement_follows_the_last_chunk_of_a_request() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let _answer = channel.call(call("echo", vec![0; 1_000_000]));
    let id = server.expect_request("echo").await.id;
    server.send(goaway(reason::SHUTDOWN)).await;
    let mut sum = 64 * 1024;
    while sum < 1_000_000 {
        let frame = server.message().await;
        assert_eq!((frame.kind, frame.id), (kind::DATA, id));
        sum += frame.body.len();
    }
    server.expect(goaway(reason::ACK)).await;
}

#[tokio::test(start_paused = true)]
async fn both_sides_may_drain_at_once() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut drain = task::spawn(channel.drain());
    assert_pending!(drain.poll());
    server.send(goaway(reason::SHUTDOWN)).await;
    server.expect_goaway(reason::SHUTDOWN).await;
    server.expect(goaway(reason::ACK)).await;
    server.send(goaway(reason::ACK)).await;
    server.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_goodbye_at_once_ends_what_the_first_let_go_on() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "x"));
    server.expect_request("echo").await;
    server.send(goaway(reason::SHUTDOWN)).await;
    server.expect(goaway(reason::ACK)).await;
    server.send(goaway(reason::SHUTDOWN)).await;
    server.expect_silence().await;
    server.send(goaway(reason::NOW)).await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::MaybeExecuted)
    );
    server.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_its_grace() {
    let probe = Probe::default();
    let options = Options::new()
        .drain_grace(Duration::from_secs(2))
        .keepalive(None);
    let (mut client, server) = serve(options, probe.service());
    client.shake_hands().await;
    client.send(request(2, "never")).await;
    probe.until_started(1).await;
    let mut drain = task::spawn(server.drain());
    assert_pending!(drain.poll());
    client.expect_goaway(reason::SHUTDOWN).await;
    client.send(goaway(reason::ACK)).await;
    let text = client.expect_goaway(reason::NOW).await;
    assert!(text.contains("drain_grace"), "{text}");
    client.expect_eof().await;
    probe.until_dropped(1).await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_are_served_before_a_drain_ends() {
    let gate = Gate::new(echo());
    let (mut client, server) = serve(Options::new(), gate.clone());
    client.shake_hands().await;
    client.send(request(2, "echo").body("x")).await;
    settle().await;
    let mut drain = task::spawn(server.drain());
    assert_pending!(drain.poll());
    client.expect_goaway(reason::SHUTDOWN).await;
    client.send(goaway(reason::ACK)).await;
    client.expect_silence().await;
    gate.open();
    client.expect(response(2).body("x")).await;
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_not_opened_is_refused_by_a_server_that_drains() {
    let (mut client, server) = serve(Options::new(), echo());
    settle().await;
    let mut drain = task::spawn(server.drain());
    assert_pending!(drain.poll());
    client.expect_preface().await;
    client.expect_goaway(reason::SHUTDOWN).await;
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_channel_drains_and_calls_under_way_still_end() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "x"));
    let clone = channel.clone();
    drop(channel);
    let id = server.expect_request("echo").await.id;
    server.expect_silence().await;
    drop(clone);
    server.expect_goaway(reason::SHUTDOWN).await;
    server
        .send_all([goaway(reason::ACK), response(id).body("y")])
        .await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "y");
    server.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_bytes_are_followed_by_the_end_and_the_peers_are_read_to_theirs() {
    let (mut client, server) = serve(Options::new(), echo());
    client.shake_hands().await;
    let mut drain = task::spawn(server.drain());
    assert_pending!(drain.poll());
    client.expect_goaway(reason::SHUTDOWN).await;
    client
        .send_all([request(2, "echo").body("x"), goaway(reason::ACK)])
        .await;
    client.expect(response(2).body("x")).await;
    client.expect_eof().await;
    // It has shut down, and reads until this side does: these bytes reset nothing.
    client.send(response(7)).await;
    settle().await;
    client.shutdown().await;
    client.expect_eof().await;
    drop(drain);
    server.ended().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_ends_at_once_and_may_be_repeated() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let sent = channel.call(call("echo", "x"));
    server.expect_request("echo").await;
    let unsent = channel.call(call("echo", "y"));
    channel.close();
    channel.close();
    for (answer, execution) in [
        (sent, Execution::MaybeExecuted),
        (unsent, Execution::NotSent),
    ] {
        let error = soon(answer).await.unwrap_err();
        assert_eq!((error.kind(), error.execution()), (Kind::Closed, execution));
    }
    let error = soon(channel.call(call("echo", "z"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.origin(), error.execution()),
        (Kind::Closed, Origin::Local, Execution::NotSent)
    );
    channel.close();
    soon(channel.drain()).await;
    assert!(channel.is_closed());
    let error = std::future::poll_fn(|cx| channel.poll_ready(cx))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Closed);
    while server.frame().await.kind != kind::GOAWAY {}
    server.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_hello_ends_the_client_without_a_doubt() {
    let (mut channel, mut server) = dial(Options::new());
    let answer = channel.call(call("echo", "x"));
    server.expect_greeting().await;
    server.write(&magic(1, 1)).await;
    server.send(goaway(reason::SHUTDOWN)).await;
    let error = soon(answer).await.unwrap_err();
    assert!(error.execution().is_safe_to_repeat(), "{error:?}");
    soon(channel.closed()).await;
}

#[tokio::test(start_paused = true)]
async fn unimplemented_calls_to_a_client_do_not_end_it() {
    let (near, far) = steeple::transport::mem::MemStream::pair(1024);
    let _channel = steeple::Connector::new().connect_io(near, None);
    let mut server = crate::support::RawPeer::new(far);
    server.shake_hands().await;
    server.send(request(3, "anything")).await;
    let (code, not_processed, text) = status_of(&server.expect_response(3).await);
    assert_eq!((code, not_processed), (status::UNIMPLEMENTED, true));
    assert!(text.contains("anything"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_were_cancelled_while_they_waited_hold_no_drain_up() {
    let gate = Gate::new(echo());
    let (mut client, server) = serve(Options::new(), gate);
    client.shake_hands().await;
    client
        .send_all([
            request(2, "echo"),
            crate::support::cancel(2, reason::DROPPED),
        ])
        .await;
    client.expect_response(2).await;
    let mut drain = task::spawn(server.drain());
    assert_pending!(drain.poll());
    client.expect_goaway(reason::SHUTDOWN).await;
    client.send(goaway(reason::ACK)).await;
    client.expect_eof().await;
    drop((client, drain));
    server.ended().await.unwrap();
}
