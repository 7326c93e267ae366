//! A second decoder of the native wire, written from the specification in the documentation of
//! `steeple::wire::native` and nothing else, reads what the encoder writes and what two ends of a connection say
//! to each other. It knows numbers, not names.

mod cursor;
mod live;
mod reader;
#[path = "../support/specification.rs"]
mod specification;
#[path = "../support/tapped.rs"]
mod tapped;

use std::time::Duration;

use bytes::Buf;
use steeple::{
    Body, BodyCompression, Error, Execution, Kind, Request, Response,
    wire::{
        Encoder, Id, Out, Reason, Role, Wire, compression::compress, native::Native,
        numbers::encoding,
    },
};

use self::{reader::read, specification::example};

/// What the accepting side says, in which `write` writes after HELLO.
fn said(write: impl FnOnce(&mut dyn Encoder, &mut Out)) -> Vec<String> {
    let mut encoder = Native::default().send_causes(true).split(Role::Acceptor).0;
    let mut out = Out::new(1024);
    encoder.hello(&mut out);
    write(&mut encoder, &mut out);
    while encoder.next_chunk(&mut out).is_some() {}
    let mut said = read(&out.copy_to_bytes(out.len()));
    let hello: Vec<_> = said.drain(..6).collect();
    let limits = [
        "limit 1: 131072",
        "limit 2: 67108864",
        "limit 3: 65536",
        "limit 6: 1024",
    ];
    assert_eq!(hello[..4], limits);
    assert_eq!(hello[4], "compressions [2, 1]");
    assert!(hello[5].starts_with("agent steeple/"));
    said
}

fn mine(index: u32) -> Id {
    Id::new(Role::Acceptor, index)
}

fn theirs(index: u32) -> Id {
    Id::new(Role::Dialer, index)
}

#[test]
fn requests_and_one_way_messages_are_understood() {
    let said = said(|encoder, out| {
        let json = |text: &'static str| Body::encoded(text.into(), encoding::JSON);
        let mut request = Request::new("Echo", json("{}"));
        encoder.request(mine(1), &request, None, out).unwrap();
        let left = Duration::from_secs(10_000);
        request.cx_mut().set_attempt(4);
        request.metadata_mut().insert("tenant", "A");
        encoder.request(mine(2), &request, Some(left), out).unwrap();
        *request.body_mut() = Body::from("raw");
        request.set_encoding(encoding::JSON);
        *request.metadata_mut() = Default::default();
        request.cx_mut().set_attempt(0);
        let left = Duration::from_millis(3);
        encoder.request(mine(3), &request, Some(left), out).unwrap();
        let nameless = Request::new("", Body::from("hi"));
        encoder.one_way(None, &nameless, out).unwrap();
        encoder.one_way(None, &request, out).unwrap();
    });
    let expected = [
        r#"call 3 within 0 to "Echo" in 2: {}"#,
        r#"call 5 within 4294967295 [within 10000000000] [attempt 4] [tenant: [65]] to "Echo" in 2: {}"#,
        r#"call 7 within 3000 to "Echo" in 2 raw: raw"#,
        r#"one way to "" in 0: hi"#,
        r#"one way to "Echo" in 2 raw: raw"#,
    ];
    assert_eq!(said, expected);
}

#[test]
fn answers_are_understood() {
    let said = said(|encoder, out| {
        let mut response = Response::new(Body::encoded("4".into(), encoding::JSON));
        response.metadata_mut().insert("a", "A");
        encoder.response(theirs(1), Ok(&response), out).unwrap();
        let mut fail = |error: Error| {
            encoder.response(theirs(2), Err(&error), out).unwrap();
        };
        fail(
            Error::new(Kind::Overflow, "full")
                .with_execution(Execution::NotStarted)
                .with_retry_after(Duration::from_micros(9)),
        );
        fail(Error::new(Kind::Invalid, "bad").with_execution(Execution::MaybeExecuted));
        fail(
            Error::new(Kind::Internal, "bug")
                .executed()
                .with_source("disk"),
        );
        fail(Error::application(5, "no").with_details(encoding::JSON.number(), *b"[]"));
    });
    let expected = [
        "answer 2 status 0 [a: [65]]: 4",
        r#"answer 4 status 32772 [wait 9]: "full" "#,
        r#"answer 4 status 6: "bad" "#,
        r#"answer 4 status 9 [executed] [because disk]: "bug" "#,
        r#"answer 4 status 261: "no" []"#,
    ];
    assert_eq!(said, expected);
}

#[test]
fn long_messages_that_take_turns_are_understood() {
    let said = said(|encoder, out| {
        let long = |len| Body::from(vec![0; len]);
        let request = Request::new("Long", long(200_000));
        encoder.request(mine(1), &request, None, out).unwrap();
        let response = Response::new(long(100_000));
        encoder.response(theirs(1), Ok(&response), out).unwrap();
        let request = Request::new("Long", long(70_000));
        encoder.one_way(Some(mine(2)), &request, out).unwrap();
        encoder.request(mine(3), &request, None, out).unwrap();
        encoder.next_chunk(out).unwrap();
        assert_eq!(encoder.drop_bulk(mine(1)).map(|it| it.0), Some(true));
        encoder.cancel(mine(1), Reason::Dropped, out);
    });
    let expected = [
        r#"call 3 within 0 to "Long" in 0 in part"#,
        "cancel 3 for 1",
        "answer 2 status 0 raw: 100000 bytes",
        r#"one way to "Long" in 0: 70000 bytes"#,
        r#"call 7 within 0 to "Long" in 0: 70000 bytes"#,
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_long_error_is_understood() {
    let said = said(|encoder, out| {
        let details = vec![0; 100_000];
        let error = Error::application(5, "no").with_details(encoding::JSON.number(), details);
        encoder.response(theirs(1), Err(&error), out).unwrap();
    });
    assert_eq!(said, [r#"answer 2 status 261: "no" 100000 bytes"#]);
}

#[test]
fn a_body_whose_length_is_not_told_is_understood() {
    let mut stream = example()[0][..24].to_vec();
    let mut frame = |kind, flags, payload: &[u8]| {
        stream.extend([payload.len() as u8, 0, 0, 0, kind, flags, 0, 0]);
        stream.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        stream.extend(payload);
    };
    frame(2, 0x01, b"\xff\xff\xff\xff\xff\xff\xff\xff4");
    frame(5, 0, b"2");
    frame(5, 0x20, b"");
    let expected = [r#"call 2 within 0 to "" in 0: 42"#];
    assert_eq!(read(&stream), expected);
}

#[test]
fn the_example_of_the_specification_is_understood() {
    let [asked, answered] = example().map(|bytes| read(&bytes));
    assert_eq!(asked, [r#"call 2 within 1000000 to "Echo" in 2: 42"#]);
    assert_eq!(answered, ["answer 2 status 0: 42"]);
}

#[test]
fn compressed_bodies_are_understood() {
    let said = said(|encoder, out| {
        let body = Body::from(vec![7; 1000]).with_compression(BodyCompression::Zstd);
        let mut request = Request::new("Get", compress(body));
        encoder.request(mine(1), &request, None, out).unwrap();
        let noise: Vec<u8> = (0..300_000u32)
            .map(|n| (n.wrapping_pow(3) >> 11) as u8)
            .collect();
        let body = [noise, vec![0; 100_000]].concat();
        let body = Body::from(body).with_compression(BodyCompression::Lz4);
        *request.body_mut() = compress(body);
        encoder.request(mine(2), &request, None, out).unwrap();
    });
    let expected = [
        r#"call 3 within 0 to "Get" in 0 compressed: by 2 from 1000 bytes"#,
        r#"call 5 within 0 to "Get" in 0 compressed: by 1 from 400000 bytes"#,
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_name_without_a_number_is_understood() {
    let said = said(|encoder, out| {
        for n in 0..1025 {
            let request = Request::new(n.to_string(), Body::encoded("x".into(), encoding::JSON));
            encoder.request(mine(1), &request, None, out).unwrap();
        }
    });
    assert_eq!(said[1023], r#"call 3 within 0 to "1023" in 2: x"#);
    assert_eq!(said[1024], r#"call 3 within 0 to "1024" in 2: x"#);
}

#[test]
fn control_frames_and_what_was_voided_are_understood() {
    let said = said(|encoder, out| {
        encoder.ping(7, out);
        let at = out.flat_len();
        let request = Request::new("Void", Body::from(vec![0; 5000]));
        encoder.request(mine(1), &request, None, out).unwrap();
        assert_eq!(encoder.void(at, out).unwrap().len(), 5000);
        encoder.pong(8, out);
        encoder.cancel(theirs(1), Reason::Limit, out);
        encoder.go_away(Reason::Shutdown, "later", out);
    });
    let expected = [
        "ping 7",
        "pong 8",
        "cancel 2 for 9",
        "farewell for 3: later",
    ];
    assert_eq!(said, expected);
}
