//! Bodies that travel in chunks.

use std::time::Duration;

use steeple::{
    Body, Error, Execution, Kind, Options, Origin, Request, Response,
    wire::{
        native::{Limits, Native},
        numbers::{flag, kind, reason, status, total},
    },
};
use tower::{Service, service_fn};

use crate::support::{
    FIRST_MARK, Frame, Probe, RawPeer, call, cancel, data, dial, dial_with, echo, ping, pong,
    request, response, serve, serve_with, settle, soon, status_of,
};

/// The longest body that goes out in one piece.
const CHUNK: usize = 64 * 1024;

fn frame(kind: u8, id: u32) -> Frame {
    Frame::new(kind, id)
}

#[tokio::test(start_paused = true)]
async fn a_small_frame_passes_a_large_body() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let large = channel.call(call("large", vec![1; 20 * CHUNK]));
    let id = server.expect_request("large").await.id;
    let small = channel.call(call("small", "x"));
    let mut before = 0;
    let request = loop {
        let frame = server.message().await;
        if frame.kind == kind::REQUEST {
            break frame;
        }
        assert_eq!((frame.kind, frame.id), (kind::DATA, id));
        before += 1;
    };
    assert!(before < 10, "{before} chunks came before the small request");
    server.send(response(request.id)).await;
    soon(small).await.unwrap();
    drop(large);
}

/// Reads chunks up to the next mark: how many bytes they are, and its nonce.
async fn read_to_mark(peer: &mut RawPeer) -> (usize, u32) {
    let mut bytes = 0;
    loop {
        let frame = peer.frame().await;
        match frame.kind {
            kind::PING => return (bytes, frame.aux),
            _ => bytes += frame.body.len(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_wait_until_the_peer_has_read_others_and_small_calls_do_not() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let large = channel.call(call("large", vec![1; 20 * CHUNK]));
    let mut marks = Vec::new();
    for _ in 0..2 {
        let (bytes, mark) = read_to_mark(&mut server).await;
        assert!(bytes >= CHUNK, "{bytes} bytes entitle to no ping");
        assert!(mark >= FIRST_MARK);
        marks.push(mark);
    }
    server.expect_silence().await;
    let small = channel.call(call("small", "x"));
    let id = server.expect_request("small").await.id;
    server.send(response(id)).await;
    soon(small).await.unwrap();
    server.expect_silence().await;
    server.send(pong(marks[0])).await;
    let (bytes, mark) = read_to_mark(&mut server).await;
    assert_eq!(bytes, CHUNK);
    // The rest comes as it is read.
    server.send(pong(mark)).await;
    for _ in 3..20 {
        assert_eq!(server.message().await.kind, kind::DATA);
    }
    drop(large);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_mark_is_given_up_like_one_that_is_silent() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let large = channel.call(call("large", vec![1; 20 * CHUNK]));
    let drinks = tokio::spawn(async move { server.drink().await });
    let error = soon(large).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection);
    assert!(error.to_string().contains("ping"), "{error}");
    soon(drinks).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_of_a_user_and_marks_do_not_meet() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let _large = channel.call(call("large", vec![1; 20 * CHUNK]));
    let (_, mark) = read_to_mark(&mut server).await;
    let mut waiting = tokio_test::task::spawn(channel.ping());
    tokio_test::assert_pending!(waiting.poll());
    server.send(pong(mark)).await;
    settle().await;
    tokio_test::assert_pending!(waiting.poll());
    let nonce = loop {
        let frame = server.message().await;
        if frame.kind == kind::PING {
            break frame.aux;
        }
    };
    server.send(pong(nonce)).await;
    soon(waiting).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_is_the_same_in_whatever_steps_it_comes() {
    let body: Vec<u8> = (0..3 * CHUNK).map(|at| (at % 251) as u8).collect();
    let mut bytes = request(2, "echo")
        .of_total(body.len() as u64)
        .body(&body[..10])
        .encode();
    let rest: Vec<&[u8]> = body[10..].chunks(CHUNK).collect();
    for (n, piece) in rest.iter().enumerate() {
        let data = data(2, piece);
        bytes.extend(
            if n + 1 == rest.len() {
                data.end()
            } else {
                data
            }
            .encode(),
        );
        // Small frames stand between the pieces, and are found behind what is read in place.
        bytes.extend(ping(n as u32).encode());
    }
    for step in [1000, 4096, CHUNK - 1, CHUNK + 16, bytes.len()] {
        let (mut client, _server) = serve(Options::new(), echo());
        client.shake_hands().await;
        for piece in bytes.chunks(step) {
            client.write(piece).await;
            settle().await;
        }
        let (mut echoed, mut pongs) = (Vec::new(), 0);
        while echoed.len() < body.len() {
            let frame = client.message().await;
            pongs += usize::from(frame.kind == kind::PONG);
            echoed.extend(frame.body);
        }
        assert_eq!(echoed, body);
        assert_eq!(pongs, rest.len());
    }
}

#[tokio::test(start_paused = true)]
async fn large_bodies_take_turns() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let _answers = [
        channel.call(call("a", vec![1; 3 * CHUNK])),
        channel.call(call("b", vec![2; 3 * CHUNK])),
    ];
    let mut order = Vec::new();
    for _ in 0..6 {
        let frame = server.message().await;
        order.push(frame.body[0]);
    }
    assert_eq!(order, [1, 2, 1, 2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_stops_the_rest_of_the_request() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("large", vec![1; 100 * CHUNK]));
    let id = server.expect_request("large").await.id;
    let refusal = status::EXHAUSTED | status::NOT_PROCESSED;
    server
        .send(response(id).code(refusal).body(b"\x04\0full"))
        .await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.origin(), error.execution()),
        (Kind::Overflow, Origin::Remote, Execution::NotStarted)
    );
    let last = loop {
        let frame = server.message().await;
        if frame.kind != kind::DATA {
            break frame;
        }
    };
    assert_eq!(last, cancel(id, reason::DROPPED));
    assert_eq!(channel.stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_chunked_answer_that_the_server_ends_fails_the_call() {
    for (why, kind) in [
        (reason::LIMIT, Kind::Overflow),
        (reason::TIMEOUT, Kind::Timeout),
        (reason::SHUTDOWN, Kind::Unavailable),
    ] {
        let (mut channel, mut server) = dial(Options::new());
        server.shake_hands().await;
        let answer = channel.call(call("echo", ""));
        let id = server.expect_request("echo").await.id;
        let begun = response(id).of_total(total::UNKNOWN).body("abc");
        server
            .send_all([begun, data(id, b"def"), cancel(id, why)])
            .await;
        let error = soon(answer).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.execution()),
            (kind, Execution::MaybeExecuted)
        );
        let answer = channel.call(call("echo", ""));
        let id = server.expect_request("echo").await.id;
        server.send(response(id)).await;
        soon(answer).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_is_put_together() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client
        .send_all([
            request(2, "echo").of_total(total::UNKNOWN).body("ab"),
            request(4, "echo").body("between"),
            data(2, b""),
            data(2, b"cd"),
            data(2, b"").end(),
        ])
        .await;
    client.expect(response(4).body("between")).await;
    client.expect(response(2).body("abcd")).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_over_max_message_is_answered_at_its_first_frame_and_the_rest_is_thrown_away() {
    let limits = Limits::new().max_message(1000);
    let probe = Probe::default();
    let wire = Native::new(limits);
    let (mut client, _server) = serve_with(Options::new(), wire, CHUNK, probe.service());
    client.shake_hands().await;
    client
        .send(request(2, "echo").of_total(1 << 40).body("abc"))
        .await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::EXHAUSTED, true));
    assert!(text.contains("max_message (1000)"), "{text}");
    client
        .send_all([data(2, &[0; 50_000]), request(4, "echo").body("x")])
        .await;
    client.expect(response(4).body("x")).await;
    client
        .send_all([cancel(2, reason::DROPPED), request(2, "echo").body("y")])
        .await;
    client.expect(response(2).body("y")).await;
    assert_eq!(probe.started(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_taken_fails_its_call_and_no_other() {
    let limits = Limits::new().max_message(1000);
    let (mut channel, mut server) = dial_with(Options::new(), Native::new(limits), CHUNK);
    server.shake_hands().await;
    let answer = channel.call(call("echo", ""));
    let id = server.expect_request("echo").await.id;
    server
        .send_all([
            response(id).of_total(2000).body([0; 500]),
            data(id, &[0; 1500]).end(),
        ])
        .await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::Executed)
    );
    assert!(error.to_string().contains("max_message (1000)"), "{error}");
    let answer = channel.call(call("echo", ""));
    let id = server.expect_request("echo").await.id;
    server.send(response(id)).await;
    soon(answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn data_for_nothing_breaks_the_protocol() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client.send(data(2, b"x")).await;
    let text = client.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("not under way"), "{text}");
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_longer_or_shorter_than_announced_breaks_the_protocol() {
    for (total, rest) in [(4, &b"abcd"[..]), (9, b"abcd")] {
        let (mut client, _server) = serve(Options::new(), echo());
        client.shake_hands().await;
        client
            .send_all([
                request(2, "echo").of_total(total).body("x"),
                data(2, rest).end(),
            ])
            .await;
        let text = client.expect_goaway(reason::PROTOCOL).await;
        assert!(text.contains("comes with 5"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_bodies_cross_in_both_directions_through_pipes_of_any_size() {
    for (capacity, len) in [(1, 2000), (7, 5000), (16, CHUNK + 1), (1000, 5 * CHUNK)] {
        let body = vec![3; len];
        let (near, far) = steeple::transport::mem::MemStream::pair(capacity);
        let connect = steeple::Connector::new().serve(Probe::default().service());
        let mut channel = connect.connect_io(near, None);
        let (_, server) = steeple::conn::Builder::new(steeple::wire::Role::Acceptor)
            .build(far, Probe::default().service());
        tokio::spawn(server);
        let answers = [
            channel.call(call("echo", body.clone())),
            channel.call(call("back", body.clone())),
        ];
        for answer in answers {
            assert_eq!(soon(answer).await.unwrap().body().as_bytes(), &body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunked_answer_gives_way_to_a_small_one() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(request(2, "big").body("2000000")).await;
    let first = client.expect_response(2).await;
    assert_eq!(first.total, Some(2_000_000));
    client.send(request(4, "echo").body("x")).await;
    settle().await;
    let (mut chunks, mut sum, mut small_after) = (0, first.body.len(), 0);
    while sum < 2_000_000 {
        let next = client.message().await;
        if next.kind == kind::RESPONSE {
            assert_eq!(next, response(4).body("x"));
            small_after = chunks;
            continue;
        }
        assert_eq!(next.kind, frame(kind::DATA, 2).kind);
        (chunks, sum) = (chunks + 1, sum + next.body.len());
        assert_eq!(next.flags & flag::END != 0, sum == 2_000_000);
    }
    assert!((1..10).contains(&small_after), "{small_after} of {chunks}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_line_is_not_mistaken_for_a_dripping_peer() {
    let options = Options::new()
        .frame_timeout(Duration::from_secs(10))
        .keepalive(None);
    let (mut client, _server) = serve(options, echo());
    client.shake_hands().await;
    let mut bytes = request(2, "echo").of_total(1 + 8 * 1000).body("x").encode();
    for n in 1..=8 {
        let data = data(2, &[7; 1000]);
        bytes.extend(if n == 8 { data.end() } else { data }.encode());
    }
    // Always somewhere within a frame, and no frame takes longer than 9 s.
    for piece in bytes.chunks(800) {
        client.write(piece).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(client.expect_response(2).await.body.len(), 8001);
}

#[tokio::test(start_paused = true)]
async fn an_error_with_long_details_goes_out_in_chunks_and_calls_go_on() {
    let service = service_fn(async |request: Request| match request.method().as_str() {
        "fail" => Err(Error::application(1, "no").with_details(0, vec![7; 100_000])),
        _ => Ok(Response::new(request.into_body())),
    });
    let (mut client, _server) = serve(Options::new(), service);
    client.shake_hands().await;
    client.send(request(2, "fail")).await;
    let first = client.message().await;
    assert_eq!((first.kind, first.id), (kind::RESPONSE, 2));
    let total = first.total.unwrap() as usize;
    assert!(total > 100_000);
    let mut len = first.body.len();
    while len < total {
        let more = client.message().await;
        assert_eq!((more.kind, more.id), (kind::DATA, 2));
        len += more.body.len();
    }
    client.send(request(4, "echo").body("x")).await;
    client.expect(response(4).body("x")).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_stops_an_answer_that_is_on_its_way() {
    let service = service_fn(async |_: Request| {
        Ok::<_, Error>(Response::new(Body::from(vec![7; 4 * 1024 * 1024])))
    });
    let (mut client, server) = serve(Options::new(), service);
    client.shake_hands().await;
    client.send(request(2, "long")).await;
    let first = client.message().await;
    assert_eq!((first.kind, first.id), (kind::RESPONSE, 2));
    client.send(cancel(2, reason::DROPPED)).await;
    let mut chunks = 1;
    while client.message().await.kind == kind::DATA {
        chunks += 1;
    }
    assert!(chunks < 64, "the whole answer came");
    assert_eq!(server.stats().late_cancels, 0);
}
