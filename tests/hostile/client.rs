//! A server that means harm: the client's calls end with a clear error, and it survives.

use fastrand::Rng;
use steeple::{
    Channel, Execution, Kind, Options, ResponseFuture,
    wire::{
        Budget,
        native::{Limits, Native},
        numbers::{kind, metadata, reason, status, total},
    },
};
use tower::Service;

use crate::{
    support::{
        Frame, RawPeer, bind, call, data, dial, dial_with, goaway, ping, request, response, settle,
        soon,
    },
    town::{count_panics, panics},
};

/// A client with a call under way, and the server that is to answer it.
async fn asked() -> (Channel, RawPeer, ResponseFuture, u32) {
    count_panics();
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "x"));
    let id = server.expect_request("echo").await.id;
    (channel, server, answer, id)
}

#[tokio::test(start_paused = true)]
async fn frames_of_noise_end_every_call_with_a_result() {
    let mut rng = Rng::with_seed(5);
    for _ in 0..500 {
        let (_channel, mut server, answer, id) = asked().await;
        for _ in 0..rng.usize(1..30) {
            let mut payload = vec![0; rng.usize(0..100)];
            rng.fill(&mut payload);
            let frame = Frame {
                flags: if rng.bool() { 0 } else { rng.u8(..) },
                code: rng.u16(0..4),
                aux: rng.u32(..),
                ..Frame::new(rng.u8(2..13), if rng.bool() { id } else { rng.u32(0..8) })
            };
            if !server.try_write(&frame.body(payload).encode()).await {
                break;
            }
        }
        server.shutdown().await;
        if let Err(error) = soon(answer).await {
            assert!(!error.to_string().is_empty());
            assert_ne!(error.execution(), Execution::NotSent);
        }
        assert_eq!(panics(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn noise_in_the_place_of_an_opening_is_told_from_a_server() {
    let (mut channel, mut server) = dial(Options::new());
    let answer = channel.call(call("echo", "x"));
    server.write(b"HTTP/1.1 400 Bad Request\r\n").await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection);
    assert!(
        error.to_string().contains("not a steeple connection"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_fails_its_call_and_no_other() {
    let (mut channel, mut server, answer, id) = asked().await;
    let second = channel.call(call("echo", "y"));
    let second_id = server.expect_request("echo").await.id;
    let bad = response(id).meta(metadata::NAMED, [9, b'x']);
    server.send_all([bad, response(second_id).body("y")]).await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::Executed)
    );
    assert_eq!(soon(second).await.unwrap().body().as_bytes(), "y");
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_without_a_text_is_still_an_error() {
    for (body, code, kind) in [
        (&b""[..], 77, Kind::Internal),
        (b"\xFF\xFF", status::INVALID, Kind::Invalid),
        (b"\x02\0\xFF\xFE", status::UNAVAILABLE, Kind::Unavailable),
    ] {
        let (_channel, mut server, answer, id) = asked().await;
        server.send(response(id).code(code).body(body)).await;
        assert_eq!(soon(answer).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_announces_costs_nothing_and_what_it_sends_is_bounded() {
    let budget = Budget::new(1 << 30);
    let limits = Limits::new()
        .max_assembly(1_000_000)
        .assembly_budget(budget.clone());
    let (mut channel, mut server) = dial_with(Options::new(), Native::new(limits), 1 << 20);
    server.shake_hands().await;
    let answers: Vec<_> = (0..20).map(|_| channel.call(call("echo", ""))).collect();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(server.expect_request("echo").await.id);
    }
    for id in &ids {
        server
            .send(response(*id).of_total(64 << 20).body("x"))
            .await;
    }
    settle().await;
    assert!(budget.used() < 1000);
    for id in &ids {
        server.send(data(*id, &[0; 100_000])).await;
        settle().await;
    }
    assert!(budget.used() <= 1_000_000);
    for id in &ids {
        server
            .send(crate::support::cancel(*id, reason::LIMIT))
            .await;
    }
    for answer in answers {
        assert_eq!(soon(answer).await.unwrap_err().kind(), Kind::Overflow);
    }
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_too_large_to_take_names_the_limit() {
    let limits = Limits::new().max_assembly(100_000);
    let (mut channel, mut server) = dial_with(Options::new(), Native::new(limits), 1 << 20);
    server.shake_hands().await;
    let answer = channel.call(call("echo", ""));
    let id = server.expect_request("echo").await.id;
    server
        .send(response(id).of_total(total::UNKNOWN).body([0; 60_000]))
        .await;
    server.send(data(id, &[0; 60_000]).end()).await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::Executed)
    );
    assert!(
        error.to_string().contains("max_assembly (100000)"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_floods_is_left() {
    type Flood = fn(u32) -> Frame;
    let floods: [(Flood, &str); 4] = [
        (ping, "pings"),
        (|n| bind(n as u16 + 1, "m"), "max_bindings"),
        (|_| Frame::new(kind::HELLO, 0), "second HELLO"),
        (|_| Frame::new(kind::DATA, 2), "not under way"),
    ];
    for (frame, text) in floods {
        let (_channel, mut server, answer, _) = asked().await;
        let bytes: Vec<u8> = (0..2000).flat_map(|n| frame(n).encode()).collect();
        server.try_write(&bytes).await;
        let error = soon(answer).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connection);
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(panics(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_what_was_not_asked_changes_nothing() {
    let (mut channel, mut server, answer, id) = asked().await;
    for n in 1..2000 {
        if 2 * n != id {
            server.send(response(2 * n).body("guessed")).await;
        }
    }
    settle().await;
    let second = channel.call(call("echo", "y"));
    let second_id = server.expect_request("echo").await.id;
    server
        .send_all([
            response(second_id).body("right"),
            response(id).body("right"),
        ])
        .await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "right");
    assert_eq!(soon(second).await.unwrap().body().as_bytes(), "right");
    assert_eq!(channel.stats().late_answers, 1998);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_call_that_is_not_written_yet_frees_nothing_too_early() {
    let (mut channel, mut server, answer, id) = asked().await;
    server.send(response(id)).await;
    soon(answer).await.unwrap();
    // The next call takes the same slot; the server guesses its id while it is in the output.
    let probe = channel.call(call("echo", "1"));
    let next = server.expect_request("echo").await.id;
    server.send(response(next)).await;
    soon(probe).await.unwrap();
    let step = next - id;
    server.send(response(next + step).body("early")).await;
    let answer = channel.call(call("echo", vec![0; 1_000_000]));
    let _ = soon(answer).await;
    let answer = channel.call(call("echo", "after"));
    let last = loop {
        let frame = server.message().await;
        if frame.kind == kind::REQUEST && frame.total.is_none() {
            break frame.id;
        }
    };
    server.send(response(last).body("fine")).await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "fine");
    assert_eq!(panics(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_serves_nothing_refuses_a_flood_of_calls() {
    count_panics();
    let (near, far) = steeple::transport::mem::MemStream::pair(64 * 1024);
    let channel = steeple::Connector::new().connect_io(near, None);
    let mut server = RawPeer::new(far);
    server.shake_hands().await;
    let batch: Vec<u8> = (1..=500)
        .flat_map(|n| request(2 * n + 1, "m").encode())
        .collect();
    let mut batches = 0;
    while server.try_write(&batch).await {
        settle().await;
        batches += 1;
        assert!(batches < 200, "refusals pile up without a bound");
    }
    soon(channel.closed()).await;
    assert_eq!(panics(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_goodbye_for_no_known_reason_is_believed() {
    let (_channel, mut server, answer, _) = asked().await;
    server.send(goaway(999).body(vec![b'x'; 100_000])).await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection);
    assert!(error.to_string().len() < 2000, "texts are bounded");
}
