//! Deadlines, on the wire and on both sides.

use std::time::Duration;

use steeple::{
    Error, Execution, Kind, Options, Request, Response,
    wire::numbers::{kind, reason, status},
};
use tokio::time::{Instant, sleep};
use tower::{Service, service_fn};

use crate::support::{
    Gate, Probe, call, cancel, dial, request, response, serve, settle, soon, status_of,
};

const SECOND: Duration = Duration::from_secs(1);

fn with_timeout(mut request: Request, timeout: Duration) -> Request {
    request.cx_mut().set_timeout(timeout);
    request
}

#[tokio::test(start_paused = true)]
async fn a_deadline_travels_as_the_microseconds_that_remain() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut answers = Vec::new();
    for (timeout, micros) in [
        (Duration::from_nanos(1), Some(1)),
        (Duration::from_micros(1500), Some(1500)),
        (Duration::from_secs(7200), Some(7_200_000_000)),
        // For ever, as far as anybody can tell.
        (Duration::MAX, Some(30 * 365 * 24 * 3600 * 1_000_000)),
    ] {
        answers.push(channel.call(with_timeout(call("echo", ""), timeout)));
        assert_eq!(server.expect_request("echo").await.remaining(), micros);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_tells_only_what_is_left() {
    let (mut channel, mut server) = dial(Options::new().max_calls(1));
    server.shake_hands().await;
    let first = channel.call(call("echo", ""));
    let _second = channel.call(with_timeout(call("echo", ""), 10 * SECOND));
    let id = server.expect_request("echo").await.id;
    sleep(4 * SECOND).await;
    server.send(response(id)).await;
    soon(first).await.unwrap();
    let remaining = server.expect_request("echo").await.remaining().unwrap();
    assert!((5_990_000..=6_000_000).contains(&remaining), "{remaining}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_fails_the_call_before_it_is_sent() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut late = call("echo", "");
    late.cx_mut().set_deadline(Instant::now());
    let error = soon(channel.call(late)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::NotSent)
    );
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_sent_call_times_out_without_a_cancel_since_the_peer_knows_the_deadline() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(with_timeout(call("echo", ""), SECOND));
    let id = server.expect_request("echo").await.id;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::MaybeExecuted)
    );
    server.expect_silence().await;
    assert_eq!(channel.stats().in_flight, 1, "the answer is owed");
    server.send(response(id)).await;
    settle().await;
    assert_eq!(
        (channel.stats().in_flight, channel.stats().late_answers),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_pending_call_times_out_unsent() {
    let (mut channel, mut server) = dial(Options::new().max_calls(1));
    server.shake_hands().await;
    let _first = channel.call(call("echo", "1"));
    let second = channel.call(with_timeout(call("echo", "2"), SECOND));
    let error = soon(second).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::NotSent)
    );
    let id = server.expect_request("echo").await.id;
    server.send(response(id)).await;
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_times_out_in_chunks_was_not_sent_and_is_taken_back() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(with_timeout(call("echo", vec![0; 1_000_000]), SECOND));
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::NotSent)
    );
    let id = server.expect_request("echo").await.id;
    let last = loop {
        let frame = server.message().await;
        if frame.kind != kind::DATA {
            break frame;
        }
    };
    assert_eq!(last, cancel(id, reason::TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_callers_deadline() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(request(2, "deadline").aux(2_000_000)).await;
    client.expect(response(2).body("2000000")).await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_while_the_handler_runs_drops_it_and_leaves_its_fate_open() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(request(2, "never").aux(1_000_000)).await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::TIMEOUT, false), "{text}");
    assert_eq!(probe.dropped(), 1);
    client.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_while_the_request_waits_says_that_it_did_not_start() {
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let (mut client, _server) = serve(Options::new(), gate.clone());
    client.shake_hands().await;
    client
        .send_all([request(2, "echo").aux(1_000_000), request(4, "echo")])
        .await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::TIMEOUT, true), "{text}");
    gate.open();
    client.expect(response(4)).await;
    assert_eq!(probe.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_deadline_has_passed_is_not_started_by_a_service_that_gets_ready() {
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let (mut client, _server) = serve(Options::new(), gate.clone());
    client.shake_hands().await;
    client.send(request(2, "echo").aux(1_000_000)).await;
    settle().await;
    // Both happen before the connection's task has its turn.
    let late = tokio::time::advance(2 * SECOND);
    gate.open();
    late.await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::TIMEOUT, true), "{text}");
    assert_eq!(probe.started(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_in_a_layer_tells_only_what_is_left() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let begun = with_timeout(call("echo", ""), 10 * SECOND);
    sleep(4 * SECOND).await;
    let _answer = channel.call(begun);
    let remaining = server.expect_request("echo").await.remaining().unwrap();
    assert!((5_990_000..=6_000_000).contains(&remaining), "{remaining}");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_passed_in_a_layer_is_not_sent() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let begun = with_timeout(call("echo", ""), SECOND);
    sleep(2 * SECOND).await;
    let error = soon(channel.call(begun)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::NotSent)
    );
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn what_stood_behind_slow_handlers_until_its_deadline_passed_is_not_started() {
    // It takes a second, and all of it where it begins: the clock is on when its first poll returns.
    let slow = service_fn(async |request: Request| {
        if request.method() == "slow" {
            tokio::time::advance(SECOND).await;
        }
        Ok::<Response, Error>(Response::default())
    });
    let (mut client, _server) = serve(Options::new(), slow);
    client.shake_hands().await;
    let within = |id| request(id, "m").aux(1_000);
    let behind = (2..40).map(|n| within(2 * n));
    let read = std::iter::once(request(2, "slow")).chain(behind);
    client.send_all(read).await;
    let mut late = 0;
    for _ in 0..39 {
        let response = client.frame().await;
        if response.code != status::OK {
            let (code, not_processed, _) = status_of(&response);
            assert_eq!((code, not_processed), (status::TIMEOUT, true));
            late += 1;
        }
    }
    // The clock is looked at now and then.
    assert!(late > 30, "{late} of 38");
}
