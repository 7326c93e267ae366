//! Calls that wait for the connection to take them.

use std::time::Duration;

use futures_util::FutureExt;
use steeple::{
    Execution, Kind, Options, Origin, Overflow,
    wire::numbers::{hello as tlv, kind},
};
use tokio_test::{assert_pending, task};
use tower::{Service, ServiceExt};

use crate::support::{Probe, call, dial, hello, magic, request, response, serve, soon};

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_out_than_max_calls_and_the_rest_follow_in_order() {
    let (mut channel, mut server) = dial(Options::new().max_calls(2));
    server.shake_hands().await;
    let answers: Vec<_> = (0..5).map(|n| channel.call(call("echo", [n]))).collect();
    let mut ids = [
        server.expect_request("echo").await.id,
        server.expect_request("echo").await.id,
    ];
    let stats = channel.stats();
    assert_eq!(
        (stats.in_flight, stats.pending, channel.pending()),
        (2, 3, 5)
    );
    for n in 2..5 {
        server.expect_silence().await;
        server.send(response(ids[0])).await;
        let next = server.expect_request("echo").await;
        assert_eq!(next.body, [n]);
        ids = [ids[1], next.id];
    }
    for id in ids {
        server.send(response(id)).await;
    }
    for answer in answers {
        soon(answer).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_can_raise_the_floor_of_calls_and_not_lower_it() {
    let (mut channel, mut server) = dial(Options::new());
    server.expect_greeting().await;
    server.write(&magic(1, 1)).await;
    let mut limit = tlv::MAX_CALLS.to_le_bytes().to_vec();
    limit.extend([4, 0, 1, 0, 0, 0]);
    server.send(hello().body(limit)).await;
    soon(channel.handshaken()).await.unwrap();
    let _answers = [
        channel.call(call("echo", "1")),
        channel.call(call("echo", "2")),
    ];
    server.expect_request("echo").await;
    server.expect_request("echo").await;
}

#[tokio::test(start_paused = true)]
async fn the_oldest_pending_call_gives_way_to_a_new_one_by_default() {
    let (mut channel, mut server) = dial(Options::new().max_calls(1).max_pending(2));
    server.shake_hands().await;
    let sent = channel.call(call("echo", "sent"));
    let oldest = channel.call(call("echo", "oldest"));
    let middle = channel.call(call("echo", "middle"));
    let newest = channel.call(call("echo", "newest"));
    let error = soon(oldest).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.origin(), error.execution()),
        (Kind::Overflow, Origin::Local, Execution::NotSent)
    );
    assert!(error.to_string().contains("max_pending is 2"), "{error}");
    for (body, answer) in [("sent", sent), ("middle", middle), ("newest", newest)] {
        let request = server.expect_request("echo").await;
        assert_eq!(request.body, body.as_bytes());
        server.send(response(request.id)).await;
        soon(answer).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_left_is_not_the_oldest() {
    let (mut channel, _server) = dial(Options::new().max_calls(1).max_pending(2));
    let _sent = channel.call(call("echo", "sent"));
    let left = channel.call(call("echo", "left"));
    let mut oldest = task::spawn(channel.call(call("echo", "oldest")));
    drop(left);
    let mut newest = task::spawn(channel.call(call("echo", "newest")));
    assert_pending!(oldest.poll());
    assert_pending!(newest.poll());
    let _one_more = channel.call(call("echo", "one more"));
    assert_eq!(soon(oldest).await.unwrap_err().kind(), Kind::Overflow);
    assert_pending!(newest.poll());
}

#[tokio::test(start_paused = true)]
async fn the_newest_call_is_refused_if_wanted() {
    let options = Options::new()
        .max_calls(1)
        .max_pending(1)
        .overflow(Overflow::RejectNewest);
    let (mut channel, _server) = dial(options);
    let _sent = channel.call(call("echo", "sent"));
    let mut pending = task::spawn(channel.call(call("echo", "pending")));
    let error = soon(channel.call(call("echo", "refused")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::NotSent)
    );
    assert_pending!(pending.poll());
}

#[tokio::test(start_paused = true)]
async fn every_call_waits_if_wanted() {
    let options = Options::new()
        .max_calls(1)
        .max_pending(1)
        .overflow(Overflow::Wait);
    let (mut channel, mut server) = dial(options);
    server.shake_hands().await;
    let answers: Vec<_> = (0..50).map(|n| channel.call(call("echo", [n]))).collect();
    for n in 0..50 {
        let request = server.expect_request("echo").await;
        assert_eq!(request.body, [n]);
        server.send(response(request.id)).await;
    }
    for answer in answers {
        soon(answer).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_place_to_wait_a_call_is_refused_at_once() {
    let (mut channel, _server) = dial(Options::new().max_calls(1).max_pending(0));
    let mut sent = task::spawn(channel.call(call("echo", "sent")));
    let error = soon(channel.call(call("echo", "refused")))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Overflow);
    assert_pending!(sent.poll());
}

#[tokio::test(start_paused = true)]
async fn a_full_write_buffer_makes_calls_wait() {
    let (mut channel, mut server) = dial(Options::new().write_buffer(100));
    server.shake_hands().await;
    let answers: Vec<_> = (0..10)
        .map(|n| channel.call(call("echo", [n; 50])))
        .collect();
    assert!(channel.stats().pending >= 7, "{:?}", channel.stats());
    for n in 0..10 {
        let request = server.expect_request("echo").await;
        assert_eq!(request.body, [n; 50]);
        server.send(response(request.id)).await;
    }
    for answer in answers {
        soon(answer).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_pending_call_that_cannot_be_encoded_fails_by_itself() {
    let (mut channel, mut server) = dial(Options::new().max_calls(1));
    server.shake_hands().await;
    let first = channel.call(call("echo", ""));
    let mut bomb = call("echo", "");
    bomb.metadata_mut().insert("k", vec![0; 20_000]);
    let bomb = channel.call(bomb);
    let last = channel.call(call("echo", "last"));
    for answer in [first, last] {
        let id = server.expect_request("echo").await.id;
        server.send(response(id)).await;
        soon(answer).await.unwrap();
    }
    let error = soon(bomb).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::NotSent)
    );
}

#[tokio::test(start_paused = true)]
async fn a_flush_delay_merges_what_comes_within_it() {
    let delay = Duration::from_millis(5);
    let (mut channel, mut server) = dial(Options::new().flush_delay(delay));
    server.shake_hands().await;
    let before = channel.stats().write_calls;
    let mut answers = Vec::new();
    for n in 0..4 {
        answers.push(channel.call(call("echo", [n])));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(channel.stats().write_calls, before);
    for n in 0..4 {
        assert_eq!(server.expect_request("echo").await.body, [n]);
    }
    assert_eq!(channel.stats().write_calls, before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_flush_delay_of_a_server_merges_its_answers() {
    let options = Options::new().flush_delay(Duration::from_millis(5));
    let (mut client, server) = serve(options, Probe::default().service());
    client.shake_hands().await;
    let before = server.stats().write_calls;
    // One is answered at once, the others by tasks of their own, a millisecond after each other.
    client
        .send_all((0..4).map(|n| request(2 * n + 2, "sleep").body(n.to_string())))
        .await;
    tokio::time::sleep(Duration::from_millis(4)).await;
    assert_eq!(server.stats().served.ok(), 4);
    assert_eq!(server.stats().write_calls, before);
    for _ in 0..4 {
        assert_eq!(client.message().await.kind, kind::RESPONSE);
    }
    assert_eq!(server.stats().write_calls, before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_flush_delay_ends_early_when_there_is_much_to_write() {
    let (mut channel, mut server) = dial(Options::new().flush_delay(Duration::from_secs(3600)));
    let mut frames = 0;
    let _answers: Vec<_> = (0..8)
        .map(|_| channel.call(call("echo", vec![0; 10_000])))
        .collect();
    server.expect_greeting().await;
    while frames < 8 {
        frames += usize::from(server.frame().await.kind == kind::REQUEST);
    }
}

#[tokio::test(start_paused = true)]
async fn clones_that_are_ready_and_idle_starve_nobody() {
    let (channel, mut server) = dial(Options::new().max_calls(1));
    server.shake_hands().await;
    let mut idle: Vec<_> = (0..100).map(|_| channel.clone()).collect();
    for clone in &mut idle {
        clone.ready().now_or_never().unwrap().unwrap();
    }
    let mut busy = channel.clone();
    for _ in 0..3 {
        let ready = busy.ready().now_or_never().unwrap().unwrap();
        let answer = ready.call(call("echo", "x"));
        let id = server.expect_request("echo").await.id;
        server.send(response(id)).await;
        soon(answer).await.unwrap();
    }
    // Nor has their readiness become worth less.
    for clone in &mut idle {
        let answer = clone.call(call("echo", "y"));
        let id = server.expect_request("echo").await.id;
        server.send(response(id)).await;
        soon(answer).await.unwrap();
    }
}
