//! What a server does with more than it takes: it refuses, and goes on reading.

use steeple::{
    Options,
    wire::numbers::{kind, metadata, reason, status},
};

use crate::support::{
    Gate, Probe, cancel, echo, ping, pong, request, response, serve, settle, status_of,
};

#[tokio::test(start_paused = true)]
async fn requests_beyond_max_waiting_are_refused_unstarted_by_the_name_of_the_limit() {
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let (mut client, _server) = serve(Options::new().max_waiting(2, 1000), gate.clone());
    client.shake_hands().await;
    client
        .send_all((1..=4).map(|n| request(2 * n, "echo")))
        .await;
    for id in [6, 8] {
        let (code, not_processed, text) = status_of(&client.expect_response(id).await);
        assert_eq!((code, not_processed), (status::EXHAUSTED, true));
        assert!(text.contains("max_waiting of 2 requests"), "{text}");
    }
    gate.open();
    client.expect(response(2)).await;
    client.expect(response(4)).await;
    assert_eq!(probe.started(), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_max_handlers_wait() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new().max_handlers(2), probe.service());
    client.shake_hands().await;
    client
        .send_all((1..=3).map(|n| request(2 * n, "wait").body([n as u8])))
        .await;
    settle().await;
    assert_eq!(probe.started(), 2);
    client.send(cancel(2, reason::DROPPED)).await;
    client.expect_response(2).await;
    settle().await;
    assert_eq!(probe.started(), 3);
    probe.ring();
    client.expect_response(4).await;
    client.expect_response(6).await;
}

#[tokio::test(start_paused = true)]
async fn unsent_answers_stop_further_handlers_but_not_the_reading() {
    let probe = Probe::default();
    let options = Options::new()
        .max_unsent(200_000)
        .keepalive(None)
        .write_stall(None);
    let (mut client, _server) = serve(options, probe.service());
    client.shake_hands().await;
    // The pipe holds 64 KiB, and nobody reads.
    for n in 1..=20 {
        client.send(request(2 * n, "big").body("50000")).await;
        settle().await;
    }
    let started = probe.started();
    assert!((4..=7).contains(&started), "{started} handlers started");
    // It still reads: an answer to this is what shows it once there is room.
    client.send(ping(5)).await;
    let mut answered = 0;
    while answered < 20 {
        let frame = client.message().await;
        match frame.kind {
            kind::RESPONSE => answered += 1,
            _ => assert_eq!(frame, pong(5)),
        }
    }
    assert_eq!(probe.started(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_none_of_its_refusals_is_disconnected() {
    let gate = Gate::new(echo());
    let options = Options::new()
        .max_waiting(0, 0)
        .keepalive(None)
        .write_stall(None);
    let (mut client, server) = serve(options, gate);
    client.shake_hands().await;
    let batch: Vec<u8> = (1..=1000)
        .flat_map(|n| request(2 * n, "echo").encode())
        .collect();
    let mut batches = 0;
    while client.try_write(&batch).await {
        settle().await;
        batches += 1;
        assert!(batches < 100, "refusals pile up without a bound");
    }
    let error = server.ended().await.unwrap_err();
    assert!(error.to_string().contains("refuse"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_read_is_refused_and_the_next_is_served() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    let bad = request(2, "echo").meta(metadata::NAMED, [9, b'x']);
    client.send_all([bad, request(4, "echo")]).await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::INVALID, true));
    assert!(text.contains("cut short"), "{text}");
    client.expect(response(4)).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_max_unsent_slows_down_and_does_not_hang() {
    for max_unsent in [0, 1, 1000] {
        let probe = Probe::default();
        let (mut client, _server) = serve(Options::new().max_unsent(max_unsent), probe.service());
        client.shake_hands().await;
        client
            .send_all((1..=10).map(|n| request(2 * n, "big").body("5000")))
            .await;
        for n in 1..=10 {
            client.expect_response(2 * n).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_one_batch_count_before_they_are_written() {
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let options = Options::new()
        .max_unsent(1_000_000)
        .keepalive(None)
        .write_stall(None);
    let (mut client, _server) = serve(options, gate.clone());
    client.shake_hands().await;
    client
        .send_all((1..=100).map(|n| request(2 * n, "big").body("400000")))
        .await;
    settle().await;
    gate.open();
    settle().await;
    assert!(
        probe.started() <= 4,
        "{} answers of 400 kB",
        probe.started()
    );
    client
        .send_all((101..=200).map(|n| request(2 * n, "big").body("400000")))
        .await;
    settle().await;
    assert!(
        probe.started() <= 4,
        "{} answers of 400 kB",
        probe.started()
    );
}

#[tokio::test(start_paused = true)]
async fn cancelled_requests_take_no_place_in_the_queue() {
    let gate = Gate::new(echo());
    let (mut client, _server) = serve(Options::new().max_waiting(4, 1000), gate.clone());
    client.shake_hands().await;
    for n in 0..100 {
        client
            .send_all([request(2, "echo").body([n]), cancel(2, reason::DROPPED)])
            .await;
        let (code, _, text) = status_of(&client.expect_response(2).await);
        assert_eq!(code, status::CANCELLED, "{text}");
    }
    client.send(request(2, "echo").body("x")).await;
    settle().await;
    gate.open();
    client.expect(response(2).body("x")).await;
}

#[tokio::test(start_paused = true)]
async fn the_bytes_that_wait_are_bounded_metadata_included() {
    let gate = Gate::new(echo());
    let (mut client, _server) = serve(Options::new().max_waiting(100, 10_000), gate.clone());
    client.shake_hands().await;
    client.send(request(2, "echo").body([0; 6000])).await;
    client.send(request(4, "echo").named("k", [0; 6000])).await;
    let (code, not_processed, _) = status_of(&client.expect_response(4).await);
    assert_eq!((code, not_processed), (status::EXHAUSTED, true));
    gate.open();
    client.expect(response(2).body([0; 6000])).await;
    client.send(request(4, "echo").named("k", [0; 6000])).await;
    client.expect(response(4)).await;
}
