//! Calls that are taken back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use steeple::{
    Body, Kind, Options, Request,
    wire::numbers::{flag, kind, reason, status},
};
use tower::Service;

use crate::support::{
    Gate, Probe, call, cancel, data, dial, echo, request, response, serve, settle, soon, status_of,
};

#[tokio::test(start_paused = true)]
async fn a_call_dropped_before_it_was_written_is_never_sent_and_not_cancelled() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let first = channel.call(call("echo", "1"));
    drop(channel.call(call("echo", "2")));
    drop(channel.call(call("echo", vec![7; 20_000])));
    let third = channel.call(call("echo", "3"));
    let mut seen = Vec::new();
    for _ in 0..5 {
        let frame = server.frame().await;
        assert_ne!(frame.kind, kind::CANCEL);
        if frame.kind == kind::REQUEST {
            seen.push(frame.body);
        }
    }
    assert_eq!(seen, [b"1", b"3"]);
    assert_eq!(channel.stats().in_flight, 2);
    assert_eq!(channel.stats().calls.errors(Kind::Cancelled), 2);
    drop((first, third));
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_call_that_has_ended_is_let_go_where_the_stream_takes_no_output() {
    /// A body that counts how many of its kind there are.
    struct Counted(Arc<AtomicUsize>);

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &[7; 60_000]
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let live = Arc::new(AtomicUsize::new(0));
    let mut most = 0;
    for _ in 0..200 {
        live.fetch_add(1, Ordering::Relaxed);
        let body = Bytes::from_owner(Counted(live.clone()));
        let answer = channel.call(Request::new("echo", Body::from(body)));
        settle().await;
        drop(answer);
        most = most.max(live.load(Ordering::Relaxed));
    }
    assert!(most < 4, "{most} bodies of calls that have ended are held");
}

#[tokio::test(start_paused = true)]
async fn a_sent_call_is_cancelled_and_keeps_its_id_until_it_is_answered() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "1"));
    let first = server.expect_request("echo").await.id;
    drop(answer);
    server.expect(cancel(first, reason::DROPPED)).await;
    assert_eq!(channel.stats().in_flight, 1);
    for _ in 0..3 {
        let answer = channel.call(call("echo", "2"));
        let second = server.expect_request("echo").await.id;
        assert_ne!(second, first);
        server.send(response(second)).await;
        soon(answer).await.unwrap();
    }
    server
        .send(response(first).code(status::CANCELLED).body(b"\0\0"))
        .await;
    settle().await;
    let stats = channel.stats();
    assert_eq!((stats.in_flight, stats.late_answers), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_counts_against_the_limit_until_it_is_answered() {
    let (mut channel, mut server) = dial(Options::new().max_calls(1));
    server.shake_hands().await;
    let answer = channel.call(call("echo", "1"));
    let first = server.expect_request("echo").await.id;
    drop(answer);
    let answer = channel.call(call("echo", "2"));
    server.expect(cancel(first, reason::DROPPED)).await;
    server.expect_silence().await;
    server
        .send(response(first).code(status::CANCELLED).body(b"\0\0"))
        .await;
    let second = server.expect_request("echo").await;
    assert_eq!(second.body, b"2");
    server.send(response(second.id)).await;
    soon(answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_chunked_call_ends_with_a_cancel_in_the_place_of_its_end() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", vec![1; 10_000_000]));
    let id = server.expect_request("echo").await.id;
    drop(answer);
    let last = loop {
        let frame = server.message().await;
        if frame.kind != kind::DATA {
            break frame;
        }
        assert_eq!((frame.id, frame.flags & flag::END), (id, 0));
    };
    assert_eq!(last, cancel(id, reason::DROPPED));
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_delay_ends_with_the_call_that_it_delays() {
    let delay = Duration::from_millis(10);
    let (mut channel, mut server) = dial(Options::new().flush_delay(delay));
    server.shake_hands().await;
    let large = channel.call(call("echo", vec![7; 100_000]));
    settle().await;
    drop(large);
    // If the connection went on to wait for what is past, it would be busy for ever, and no time would pass.
    tokio::time::sleep(2 * delay).await;
    let answer = channel.call(call("echo", "1"));
    let id = server.expect_request("echo").await.id;
    server.send(response(id)).await;
    soon(answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancel_drops_the_handler_and_is_answered_once() {
    let probe = Probe::default();
    let (mut client, server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(request(2, "never")).await;
    probe.until_started(1).await;
    client
        .send_all([cancel(2, reason::DROPPED), cancel(2, reason::DROPPED)])
        .await;
    let (code, not_processed, _) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::CANCELLED, false));
    assert_eq!(probe.dropped(), 1);
    client.expect_silence().await;
    client.send(request(2, "echo")).await;
    client.expect(response(2)).await;
    assert_eq!(server.stats().handling, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_before_the_handler_began_says_that_it_did_not() {
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let (mut client, _server) = serve(Options::new(), gate.clone());
    client.shake_hands().await;
    client
        .send_all([
            request(2, "echo"),
            request(4, "echo"),
            cancel(2, reason::DROPPED),
        ])
        .await;
    let (code, not_processed, _) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::CANCELLED, true));
    gate.open();
    client.expect(response(4)).await;
    assert_eq!(probe.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_id_of_a_cancelled_request_that_waited_may_be_used_again() {
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let (mut client, _server) = serve(Options::new(), gate.clone());
    client.shake_hands().await;
    client
        .send_all([request(2, "echo").body("old"), cancel(2, reason::DROPPED)])
        .await;
    client.expect_response(2).await;
    client.send(request(2, "echo").body("new")).await;
    settle().await;
    gate.open();
    client.expect(response(2).body("new")).await;
    assert_eq!(probe.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_nothing_is_counted_and_ignored() {
    let (mut client, server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client
        .send_all([cancel(2, 1), request(2, "echo"), cancel(2, 1), cancel(3, 1)])
        .await;
    client.expect(response(2)).await;
    client.expect_silence().await;
    assert_eq!(server.stats().late_cancels, 2);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_request_that_is_not_whole_is_answered_that_it_did_not_start() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client
        .send_all([
            request(2, "echo").of_total(10).body("abc"),
            data(2, b"de"),
            cancel(2, reason::DROPPED),
        ])
        .await;
    let (code, not_processed, _) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::CANCELLED, true));
    client.send(request(2, "echo").body("x")).await;
    client.expect(response(2).body("x")).await;
    assert_eq!(probe.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_in_another_task_than_the_one_that_polled_it() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut answer = tokio_test::task::spawn(channel.call(call("echo", "x")));
    tokio_test::assert_pending!(answer.poll());
    let id = server.expect_request("echo").await.id;
    tokio::spawn(async move { drop(answer) }).await.unwrap();
    server.expect(cancel(id, reason::DROPPED)).await;
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_runs_to_its_end() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    channel.call(call("echo", "x")).detach();
    let id = server.expect_request("echo").await.id;
    server.expect_silence().await;
    assert_eq!(channel.stats().in_flight, 1);
    server.send(response(id)).await;
    settle().await;
    let stats = channel.stats();
    assert_eq!(
        (stats.calls.ok(), stats.in_flight, stats.late_answers),
        (1, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_in_chunks_is_owed_its_answer_until_it_comes() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    channel.call(call("echo", vec![0; 100_000])).detach();
    let id = server.expect_request("echo").await.id;
    let last = server.message().await;
    assert_eq!((last.kind, last.flags), (kind::DATA, flag::END));
    settle().await;
    assert_eq!(channel.stats().in_flight, 1);
    let mut draining = tokio_test::task::spawn(channel.drain());
    tokio_test::assert_pending!(draining.poll());
    server.expect_goaway(reason::SHUTDOWN).await;
    server.send(crate::support::goaway(reason::ACK)).await;
    server.expect_silence().await;
    server.send(response(id)).await;
    server.expect_eof().await;
    assert_eq!(channel.stats().calls.ok(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_that_is_pending_still_goes_out_and_keeps_its_deadline() {
    let (mut channel, mut server) = dial(Options::new().max_calls(1));
    server.shake_hands().await;
    let first = channel.call(call("echo", "1"));
    channel.call(call("echo", "2")).detach();
    let mut hurried = call("echo", "3");
    hurried.cx_mut().set_timeout(Duration::from_secs(1));
    channel.call(hurried).detach();
    let id = server.expect_request("echo").await.id;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(channel.stats().calls.errors(Kind::Timeout), 1);
    server.send(response(id)).await;
    let second = server.expect_request("echo").await;
    assert_eq!(second.body, b"2");
    server.send(response(second.id)).await;
    server.expect_silence().await;
    soon(first).await.unwrap();
    assert_eq!(channel.stats().calls.ok(), 2);
}
