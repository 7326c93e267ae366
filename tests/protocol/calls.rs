//! Requests and their answers.

use std::error::Error as _;

use steeple::{
    Body, Encoding, Error, Execution, Kind, Metadata, Options, Origin, Peer, Request, Response,
    wire::{
        native::{Limits, Native},
        numbers::{encoding, flag, kind, metadata, reason, status},
    },
};
use tower::{Service, service_fn};

use crate::support::{
    Probe, bind, call, dial, echo, request, response, serve, serve_with, settle, soon, status_of,
};

#[tokio::test(start_paused = true)]
async fn a_method_is_bound_once_and_then_called_by_its_number() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answers = [
        channel.call(call("echo", "1")),
        channel.call(call("echo", "2")),
        channel.call(call("other", "3")),
    ];
    let frames = [
        server.frame().await,
        server.frame().await,
        server.frame().await,
        server.frame().await,
        server.frame().await,
    ];
    let kinds = frames.each_ref().map(|frame| frame.kind);
    use kind::{BIND, REQUEST};
    assert_eq!(kinds, [BIND, REQUEST, REQUEST, BIND, REQUEST]);
    assert_eq!((frames[0].code, &frames[0].body[..]), (1, &b"\x04echo"[..]));
    assert_eq!(
        (frames[3].code, &frames[3].body[..]),
        (2, &b"\x05other"[..])
    );
    assert_eq!(frames[4].body, b"3");
    drop(answers);
}

#[tokio::test(start_paused = true)]
async fn a_peer_may_call_by_number_or_by_name() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    let mut by_number = request(4, "").body("n").code(1);
    by_number.method = None;
    client
        .send_all([bind(1, "echo"), by_number, request(6, "echo").body("m")])
        .await;
    client.expect(response(4).body("n")).await;
    client.expect(response(6).body("m")).await;
}

#[tokio::test(start_paused = true)]
async fn an_unbound_number_is_refused_and_the_connection_lives() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    let mut unbound = request(2, "").code(9);
    unbound.method = None;
    client.send(unbound).await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::INVALID, true));
    assert!(text.contains("number 9 is not bound"), "{text}");
    client.send(request(2, "echo")).await;
    client.expect(response(2)).await;
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_have_ids_of_their_own_and_answers_come_in_any_order() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answers: Vec<_> = (0..10).map(|n| channel.call(call("echo", [n]))).collect();
    let mut requests = Vec::new();
    for _ in 0..10 {
        requests.push(server.expect_request("echo").await);
    }
    for request in requests.iter().rev() {
        assert_eq!(request.id % 2, 0, "the dialling side's ids are even");
        server.send(response(request.id).body(&request.body)).await;
    }
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(soon(answer).await.unwrap().body().as_bytes(), &[n][..]);
    }
    assert_eq!(channel.stats().calls.ok(), 10);
}

#[tokio::test(start_paused = true)]
async fn late_duplicate_and_unknown_answers_are_counted_and_do_no_harm() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "x"));
    let id = server.expect_request("echo").await.id;
    server
        .send_all([response(id), response(id), response(0x7000)])
        .await;
    soon(answer).await.unwrap();
    drop(channel.call(call("echo", "sent?")));
    let answer = channel.call(call("echo", "y"));
    let second = server.expect_request("echo").await;
    server.send(response(second.id).body("z")).await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "z");
    assert_eq!(channel.stats().late_answers, 2);
    assert!(!channel.is_closed());
}

#[tokio::test(start_paused = true)]
async fn metadata_travels_both_ways() {
    let (mut client, _server) = serve(
        Options::new(),
        service_fn(async |request: Request| {
            let mut response = Response::new(Body::empty());
            let names: Vec<&str> = request.metadata().iter().map(|entry| entry.0).collect();
            response.metadata_mut().insert("names", names.join(","));
            let value = request.metadata().get("b").unwrap().clone();
            response.metadata_mut().append("b", value);
            Ok::<_, Error>(response)
        }),
    );
    client.shake_hands().await;
    client
        .send(
            request(2, "m")
                .named("a", "1")
                .named("b", [0xFF])
                .named("a", ""),
        )
        .await;
    client
        .expect(response(2).named("names", "a,b,a").named("b", [0xFF]))
        .await;

    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut request = call("echo", "");
    request.metadata_mut().append("k", "v");
    request.cx_mut().set_attempt(3);
    let answer = channel.call(request);
    let seen = server.expect_request("echo").await;
    let attempt = (metadata::ATTEMPT, 3u32.to_le_bytes().to_vec());
    assert_eq!(seen.meta, [attempt, (metadata::NAMED, b"\x01kv".to_vec())]);
    server.send(response(seen.id).named("r", "s")).await;
    let mut expected = Metadata::new();
    expected.append("r", "s");
    assert_eq!(*soon(answer).await.unwrap().metadata(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_attempt_arrives() {
    let (mut client, _server) = serve(
        Options::new(),
        service_fn(async |request: Request| {
            Ok::<_, Error>(Response::new(request.cx().attempt().to_string().into()))
        }),
    );
    client.shake_hands().await;
    client
        .send(request(2, "m").meta(metadata::ATTEMPT, 7u32.to_le_bytes()))
        .await;
    client.expect(response(2).body("7")).await;
    client.send(request(2, "m")).await;
    client.expect(response(2).body("0")).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_application_keeps_code_text_and_details() {
    let failing = service_fn(async |request: Request| {
        let error = Error::application(7, "no such user");
        Err::<Response, _>(error.with_details(request.encoding().number(), *b"{}"))
    });
    let (mut client, _server) = serve(Options::new(), failing);
    client.shake_hands().await;
    client.send(request(2, "m")).await;
    let frame = client.expect_response(2).await;
    assert_eq!(frame.code, status::APPLICATION + 7);
    assert_eq!(frame.body, b"\x0c\0no such user{}");

    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let body = Body::encoded("{}".into(), encoding::JSON);
    let answer = channel.call(Request::new("m", body));
    let id = server.expect_request("m").await.id;
    let refusal = response(id)
        .code(status::APPLICATION + 7)
        .body(b"\x02\0no[]");
    server.send(refusal).await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.origin(), error.execution()),
        (Kind::Application, Origin::Remote, Execution::Executed)
    );
    let application = error.as_application().unwrap();
    assert_eq!(application.code(), 7);
    assert_eq!(
        application.details(),
        Some((encoding::JSON.number(), &b"[]"[..]))
    );
}

#[tokio::test(start_paused = true)]
async fn causes_travel_only_if_the_server_is_told_to() {
    for send in [false, true] {
        let failing = service_fn(async |_: Request| {
            let error = Error::new(Kind::Internal, "failed").with_source("/etc/secret");
            Err::<Response, _>(error)
        });
        let wire = Native::default().send_causes(send);
        let (mut client, _server) = serve_with(Options::new(), wire, 1024, failing);
        client.shake_hands().await;
        client.send(request(2, "m")).await;
        let frame = client.expect_response(2).await;
        let causes = frame.meta.iter().filter(|(key, _)| *key == metadata::CAUSE);
        let causes: Vec<&[u8]> = causes.map(|(_, value)| &value[..]).collect();
        assert_eq!(
            causes,
            if send {
                vec![&b"/etc/secret"[..]]
            } else {
                vec![]
            }
        );
    }
}

/// A cause that asks its connection something when it is printed.
#[derive(Debug)]
struct Curious(Peer);

impl std::fmt::Display for Curious {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.stats().bytes_written)
    }
}

impl std::error::Error for Curious {}

#[tokio::test(start_paused = true)]
async fn a_cause_may_ask_its_own_connection() {
    let curious = service_fn(async |request: Request| {
        let peer = Peer::of(&request).unwrap().clone();
        let error = Error::new(Kind::Internal, "failed").with_source(Curious(peer));
        Err::<Response, _>(error)
    });
    let wire = Native::default().send_causes(true);
    let (mut client, _server) = serve_with(Options::new(), wire, 1024, curious);
    client.shake_hands().await;
    client.send(request(2, "m")).await;
    let frame = client.expect_response(2).await;
    assert!(frame.meta.iter().any(|(key, _)| *key == metadata::CAUSE));
}

#[tokio::test(start_paused = true)]
async fn causes_that_came_hang_on_the_error() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("m", ""));
    let id = server.expect_request("m").await.id;
    let failure = response(id).code(status::INTERNAL).body(b"\x01\0x");
    server
        .send(
            failure
                .meta(metadata::CAUSE, "outer")
                .meta(metadata::CAUSE, "inner"),
        )
        .await;
    let error = soon(answer).await.unwrap_err();
    let outer = error.source().unwrap();
    assert_eq!(outer.to_string(), "outer");
    assert_eq!(outer.source().unwrap().to_string(), "inner");
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_wrong_encoding_is_an_error_that_names_both() {
    let wrong = service_fn(async |_: Request| {
        Ok::<_, Error>(Response::new(Body::encoded("{}".into(), encoding::JSON)))
    });
    let (mut client, _server) = serve(Options::new(), wrong);
    client.shake_hands().await;
    client.send(request(2, "m")).await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::INTERNAL, false));
    assert!(text.contains("json") && text.contains("raw"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_encoding_that_is_not_served_is_refused_by_its_number() {
    let limits = Limits::new().encodings([encoding::JSON]);
    let wire = Native::new(limits);
    let (mut client, _server) = serve_with(Options::new(), wire, 1024, echo());
    client.shake_hands().await;
    let mut postcard = request(2, "");
    postcard.method = None;
    client.send(postcard.meta(metadata::METHOD, b"\x03m")).await;
    let (code, not_processed, text) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::INVALID, true));
    assert!(text.contains("encoding 3 is not served"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_the_request_marks_raw_is_raw_and_the_answer_need_not_be() {
    let describe = service_fn(async |request: Request| {
        let (body, bound) = (request.body().encoding(), request.encoding());
        assert_eq!((body, bound), (Encoding::RAW, encoding::JSON));
        Ok::<_, Error>(Response::new(Body::encoded("1".into(), encoding::JSON)))
    });
    let (mut client, _server) = serve(Options::new(), describe);
    client.shake_hands().await;
    let mut frame = request(2, "").flags(flag::RAW).body("x");
    frame.method = None;
    client.send(frame.meta(metadata::METHOD, b"\x02m")).await;
    client.expect(response(2).body("1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_or_an_unknown_critical_flag_is_answered_that_it_is_not_spoken() {
    for flags in [flag::STREAM, flag::RESERVED_CRITICAL] {
        let probe = Probe::default();
        let (mut client, _server) = serve(Options::new(), probe.service());
        client.shake_hands().await;
        client.send(request(2, "echo").flags(flags)).await;
        let (code, not_processed, _) = status_of(&client.expect_response(2).await);
        assert_eq!((code, not_processed), (status::UNIMPLEMENTED, true));
        assert_eq!(probe.started(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_breaks_the_protocol_and_other_answers_still_go_out() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client.send(request(2, "never")).await;
    client
        .send_all([request(4, "echo"), request(2, "echo")])
        .await;
    client.expect(response(4)).await;
    let text = client.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("in use"), "{text}");
    client.expect_eof().await;
    probe.until_dropped(1).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_any_more_does_not_wake_or_panic() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "x"));
    let id = server.expect_request("echo").await.id;
    server.send(response(id)).await;
    settle().await;
    drop(answer);
    let stats = channel.stats();
    assert_eq!(
        (stats.calls.ok(), stats.calls.total(), stats.in_flight),
        (1, 1, 0)
    );
    assert_eq!(stats.late_answers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_encoded_fails_alone_and_is_not_sent() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let name: String = "x".repeat(256);
    let error = soon(channel.call(Request::new(name, Body::empty())))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::NotSent)
    );
    assert!(error.to_string().contains("255"), "{error}");
    let mut bomb = call("echo", "");
    bomb.metadata_mut().insert("k", vec![0; 20_000]);
    let error = soon(channel.call(bomb)).await.unwrap_err();
    assert!(error.to_string().contains("max_metadata"), "{error}");
    let answer = channel.call(call("echo", ""));
    let id = server.expect_request("echo").await.id;
    server.send(response(id)).await;
    soon(answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_id_is_in_use_until_the_last_byte_of_its_answer() {
    let probe = Probe::default();
    let (mut client, server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client
        .send_all([
            request(2, "big").body("1000000"),
            request(2, "big").body("1000000"),
        ])
        .await;
    let text = loop {
        let frame = client.message().await;
        if frame.kind == kind::GOAWAY {
            break String::from_utf8(frame.body).unwrap();
        }
    };
    assert!(text.contains("in use"), "{text}");
    server.ended().await.unwrap_err();
}
