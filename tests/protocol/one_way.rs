//! Messages without an answer.

use std::task::{Context, Poll};

use steeple::{
    Error, Execution, Kind, Options, Request,
    conn::{Excess, Quota},
    wire::numbers::{flag, kind, reason},
};
use tower::Service;

use crate::support::{
    Gate, Probe, call, cancel, data, dial, echo, goaway, one_way, request, response, serve, settle,
    soon,
};

fn without_answer(mut request: Request) -> Request {
    request.cx_mut().set_one_way(true);
    request
}

#[tokio::test(start_paused = true)]
async fn a_small_message_is_one_frame_and_done_when_it_is_accepted() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    soon(channel.call(without_answer(call("note", "x"))))
        .await
        .unwrap();
    server.expect(one_way("note").body("x")).await;
    channel.notify(call("note", "y")).unwrap();
    server.expect(one_way("note").body("y")).await;
    let stats = channel.stats();
    assert_eq!(
        (stats.one_way_sent, stats.in_flight, stats.calls.total()),
        (2, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_message_comes_in_chunks_under_an_id_that_is_then_free() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    soon(channel.call(without_answer(call("note", vec![1; 100_000]))))
        .await
        .unwrap();
    let first = server.message().await;
    assert_eq!((first.kind, first.total), (kind::ONEWAY, Some(100_000)));
    let last = server.message().await;
    assert_eq!(
        (last.kind, last.id, last.flags),
        (kind::DATA, first.id, flag::END)
    );
    settle().await;
    assert_eq!(channel.stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn messages_of_both_sizes_are_handled_and_never_answered() {
    let probe = Probe::default();
    let (mut client, server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    let mut large = one_way("echo").of_total(6).body("abc");
    large.id = 2;
    client
        .send_all([one_way("echo").body("x"), large, data(2, b"def").end()])
        .await;
    client
        .send_all([one_way("no such"), one_way("panic")])
        .await;
    client.expect_silence().await;
    assert_eq!(probe.finished(), 2);
    let stats = server.stats();
    assert_eq!((stats.one_way_received, stats.one_way_answers), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_that_is_taken_back_is_not_handled() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    let mut large = one_way("echo").of_total(6).body("abc");
    large.id = 2;
    client
        .send_all([large, cancel(2, reason::DROPPED), request(2, "echo")])
        .await;
    client.expect(response(2)).await;
    assert_eq!(probe.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_dropped_and_counted_and_calls_still_get_through() {
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let options = Options::new().max_waiting(10, 1000);
    let (mut client, server) = serve(options, gate.clone());
    client.shake_hands().await;
    for _ in 0..100 {
        client.send(one_way("echo").body("x")).await;
    }
    settle().await;
    let stats = server.stats();
    assert_eq!((stats.one_way_received, stats.one_way_dropped), (100, 90));
    gate.open();
    settle().await;
    client.send(request(2, "echo")).await;
    client.expect(response(2)).await;
    assert_eq!(probe.started(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_refuses_the_message_to_its_sender() {
    let (mut channel, mut server) = dial(Options::new().write_buffer(1000));
    server.shake_hands().await;
    let mut sent = 0;
    let error = loop {
        match soon(channel.call(without_answer(call("note", [0; 100])))).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100, "nothing bounds the messages");
    };
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::NotSent)
    );
    assert!(
        error.to_string().contains("write_buffer of 1000 bytes"),
        "{error}"
    );
    for _ in 0..sent {
        server.expect(one_way("note").body([0; 100])).await;
    }
    soon(channel.call(without_answer(call("note", ""))))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ends_makes_room_for_a_request_that_waits() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new().max_handlers(1), probe.service());
    client.shake_hands().await;
    client
        .send_all([one_way("sleep").body("1000"), request(2, "echo").body("x")])
        .await;
    client.expect(response(2).body("x")).await;
    assert_eq!(probe.finished(), 2);
}

#[tokio::test(start_paused = true)]
async fn large_messages_are_bounded_too() {
    let (mut channel, mut server) = dial(Options::new().write_buffer(300_000));
    server.shake_hands().await;
    let mut sent = 0;
    let error = loop {
        match soon(channel.call(without_answer(call("note", vec![0; 100_000])))).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100, "nothing bounds the messages");
    };
    assert_eq!((error.kind(), sent), (Kind::Overflow, 3));
    for _ in 0..6 {
        server.message().await;
    }
    settle().await;
    soon(channel.call(without_answer(call("note", vec![0; 1_000_000]))))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_returns_to_nobody_keeps_no_other_from_starting() {
    let gate = Gate::new(echo());
    let (mut client, _server) = serve(Options::new().max_unsent(1), gate.clone());
    client.shake_hands().await;
    let message = one_way("echo").body("this goes nowhere");
    client.send_all([message, request(2, "echo")]).await;
    settle().await;
    gate.open();
    client.expect(response(2)).await;
}

#[tokio::test(start_paused = true)]
async fn its_handler_runs_on_after_an_orderly_end() {
    let probe = Probe::default();
    let (mut client, server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(one_way("wait")).await;
    probe.until_started(1).await;
    client.send(goaway(reason::SHUTDOWN)).await;
    client.expect(goaway(reason::ACK)).await;
    client.shutdown().await;
    soon(server.closed()).await;
    probe.ring();
    settle().await;
    assert_eq!((probe.finished(), probe.dropped()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn its_handler_ends_with_a_connection_that_is_closed_at_once() {
    let probe = Probe::default();
    let (mut client, server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(one_way("wait")).await;
    probe.until_started(1).await;
    server.close();
    probe.until_dropped(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_no_handler_has_seen_is_counted_whatever_refused_it() {
    // A service that is not ready and never will be.
    let broken = Broken(Probe::default().service());
    let (mut client, server) = serve(Options::new(), broken);
    client.shake_hands().await;
    client.send(one_way("m")).await;
    settle().await;
    let stats = server.stats();
    assert_eq!((stats.one_way_received, stats.one_way_dropped), (1, 1));

    // A limit that is reached.
    let probe = Probe::default();
    let options = Options::new().quota(Quota::new().max_handlers(1, Excess::Refuse));
    let (mut client, server) = serve(options, probe.service());
    client.shake_hands().await;
    client
        .send_all([request(2, "never"), one_way("echo")])
        .await;
    settle().await;
    let stats = server.stats();
    assert_eq!((stats.one_way_received, stats.one_way_dropped), (1, 1));
    assert_eq!(probe.started(), 1);
}

/// Never ready.
#[derive(Clone)]
struct Broken<S>(S);

impl<S: Service<Request, Error = Error>> Service<Request> for Broken<S> {
    type Response = S::Response;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Err(Error::new(Kind::Unavailable, "out of order")))
    }

    fn call(&mut self, request: Request) -> S::Future {
        self.0.call(request)
    }
}
