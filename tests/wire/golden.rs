//! What is on the wire, byte by byte: a change here is a change of the protocol.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use steeple::{
    Body, BodyCompression, Encoding, Error, Execution, Kind, Request, Response,
    wire::{
        Encoder, Lane, Out, Reason, Role, Wire,
        native::{Limits, Native, NativeEncoder},
        numbers::encoding,
    },
};

use crate::{
    specification::example,
    support::{call, call_back, drain, json, show},
};

fn encoder(limits: Limits) -> NativeEncoder {
    Native::new(limits).send_causes(true).split(Role::Dialer).0
}

/// What `write` writes, as lines of hex: a line for each line of `expected`. Gives what the other side reads of it.
#[track_caller]
fn assert_bytes(expected: &str, write: impl FnOnce(&mut NativeEncoder, &mut Out)) -> Vec<String> {
    let mut out = Out::new(usize::MAX);
    write(&mut encoder(Limits::default()), &mut out);
    let written = out.copy_to_bytes(out.len());
    let expected: String = expected
        .lines()
        .map(|line| line.split('|').next().unwrap_or_default())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    assert_eq!(hex(&written), expected);
    read(Role::Acceptor, &opened(&written))
}

/// What the side with this role reads.
fn read(role: Role, bytes: &[u8]) -> Vec<String> {
    let mut decoder = Native::default().split(role).1;
    let mut input = BytesMut::from(bytes);
    let frames = drain(&mut decoder, &mut input).unwrap();
    assert!(input.is_empty());
    let frames = frames.iter().map(show);
    frames.filter(|it| !it.starts_with("Hello")).collect()
}

/// Behind a preface and HELLO, unless that is in it.
fn opened(bytes: &[u8]) -> Vec<u8> {
    let opening = &example()[0][..24];
    match bytes.starts_with(&opening[..8]) {
        true => bytes.to_vec(),
        false => [opening, bytes].concat(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn hello_is_the_preface_and_the_limits() {
    let limits = Limits::new()
        .encodings([encoding::BINCODE, encoding::JSON])
        .compressions([BodyCompression::Zstd, BodyCompression::Lz4]);
    let mut out = Out::new(usize::MAX);
    encoder(limits).hello(&mut out);
    let agent = hex(concat!("steeple/", env!("CARGO_PKG_VERSION")).as_bytes());
    let expected = [
        "9e7374f00d0a0101",
        "3f000000010000000000000000000000",
        "0100040000000200",
        "020008000000000400000000",
        "0300040000000100",
        "060002000004",
        "080002000102",
        "070002000201",
        "0c000d00",
        &agent,
    ];
    assert_eq!(hex(&out.copy_to_bytes(out.len())), expected.concat());
}

#[test]
fn the_first_request_of_a_method_binds_it_and_the_next_is_a_header_and_a_body() {
    let read = assert_bytes(
        "0a000000 0c 00 0100 00000000 00000000 | BIND 1
         04 4563686f 0100 0100 02              | Echo, encoding: JSON
         02000000 02 00 0100 06000000 00000000 | REQUEST 3 of the dialling side
         3432
         02000000 02 10 0100 08000000 e8030000 | RAW, 1000 µs
         4142",
        |encoder, out| {
            let lane = encoder.request(call(3), &json("Echo", "42"), None, out);
            assert_eq!(lane.unwrap(), Lane::Whole);
            let mut raw = Request::new("Echo", Body::from("AB"));
            raw.set_encoding(encoding::JSON);
            let left = Some(Duration::from_millis(1));
            encoder.request(call(4), &raw, left, out).unwrap();
        },
    );
    assert_eq!(
        read,
        [
            r#"request Dialer#3 None [52, 50] Encoding(2) "Echo" Encoding(2) 0 Metadata(None)"#,
            r#"request Dialer#4 Some(1ms) [65, 66] Encoding(0) "Echo" Encoding(2) 0 Metadata(None)"#,
        ]
    );
}

#[test]
fn metadata_stands_before_the_body() {
    let read = assert_bytes(
        "05000000 0c 00 0100 00000000 00000000 | BIND 1
         04 4563686f                           | Echo, raw
         20000000 02 04 0100 02000000 ffffffff | REQUEST, META, the deadline in it
         1c00
         01 0800 004827ad01000000              | DEADLINE
         05 0400 02000000                      | ATTEMPT
         00 0700 03 6b6579 010203              | NAMED: key
         4142",
        |encoder, out| {
            let mut request = Request::new("Echo", Body::from("AB"));
            request.cx_mut().set_attempt(2);
            request.metadata_mut().insert("key", vec![1, 2, 3]);
            let left = Some(Duration::from_secs(7200));
            encoder.request(call(1), &request, left, out).unwrap();
        },
    );
    assert_eq!(
        read,
        [concat!(
            r#"request Dialer#1 Some(7200s) [65, 66] Encoding(0) "Echo" Encoding(0) 2 "#,
            r#"Metadata(Some([("key", b"\x01\x02\x03")]))"#
        )]
    );
}

#[test]
fn a_one_way_message_has_no_id() {
    let read = assert_bytes(
        "01000000 0c 00 0100 00000000 00000000
         00                                    | the empty name
         01000000 04 00 0100 00000000 00000000
         41",
        |encoder, out| {
            let request = Request::new("", Body::from("A"));
            encoder.one_way(None, &request, out).unwrap();
        },
    );
    assert_eq!(
        read,
        [r#"one way [65] Encoding(0) "" Encoding(0) 0 Metadata(None)"#]
    );
}

#[test]
fn answers_carry_a_status() {
    let read = assert_bytes(
        "02000000 03 00 0000 07000000 00000000 | OK, to request 3 of the accepting side
         3432
         00000000 03 10 0000 07000000 00000000 | OK, RAW
         07000000 03 00 0380 07000000 00000000 | UNIMPLEMENTED, not processed
         0500 6e6f206d65
         1f000000 03 04 0900 07000000 00000000 | INTERNAL, META
         1500
         03 0800 1027000000000000              | RETRY_AFTER
         06 0000                               | EXECUTED
         04 0400 6469736b                      | CAUSE
         0600 627567676564
         06000000 03 10 0701 07000000 00000000 | application 7, details RAW
         0200 6e6f 4142",
        |encoder, out| {
            let mut answer = |result: Result<&Response, &Error>| {
                encoder.response(call_back(3), result, out).unwrap();
            };
            let body = Body::encoded("42".into(), encoding::JSON);
            answer(Ok(&Response::new(body)));
            answer(Ok(&Response::default()));
            let unknown = Error::new(Kind::Unimplemented, "no me");
            answer(Err(&unknown.with_execution(Execution::NotStarted)));
            let error = Error::new(Kind::Internal, "bugged")
                .with_execution(Execution::Executed)
                .with_retry_after(Duration::from_millis(10))
                .with_source("disk");
            answer(Err(&error));
            let raw = Encoding::RAW.number();
            answer(Err(&Error::application(7, "no").with_details(raw, *b"AB")));
        },
    );
    assert_eq!(
        read,
        [
            "answer Acceptor#3 [52, 50] Encoding(255) Metadata(None)",
            "answer Acceptor#3 [] Encoding(0) Metadata(None)",
            concat!(
                "Response { id: Acceptor#3, result: Err(Error { kind: Unimplemented, origin: Remote, ",
                r#"execution: NotStarted, message: "no me" }) }"#
            ),
            concat!(
                "Response { id: Acceptor#3, result: Err(Error { kind: Internal, origin: Remote, ",
                r#"execution: Executed, message: "bugged", retry_after: 10ms, "#,
                r#"source: RemoteCause { text: "disk", source: None } }) }"#
            ),
            concat!(
                "Response { id: Acceptor#3, result: Err(Error { kind: Application, origin: Remote, ",
                r#"execution: Executed, message: "no", application: Application { code: 7, "#,
                "details: Some(Details { encoding: 0, bytes: [65, 66] }) } }) }"
            ),
        ]
    );
}

#[test]
fn control_frames_are_headers() {
    let read = assert_bytes(
        "00000000 06 00 0100 06000000 00000000 | CANCEL, dropped
         00000000 08 00 0000 00000000 04030201 | PING
         00000000 09 00 0000 00000000 04030201 | PONG",
        |encoder, out| {
            encoder.cancel(call(3), Reason::Dropped, out);
            encoder.ping(0x0102_0304, out);
            encoder.pong(0x0102_0304, out);
        },
    );
    assert_eq!(
        read,
        [
            "Cancel { id: Dialer#3, reason: Dropped }",
            "Ping(16909060)",
            "Pong(16909060)",
        ]
    );
}

#[test]
fn a_refusal_opens_the_direction_and_the_opening_is_written_once() {
    let read = assert_bytes(
        "9e7374f00d0a0101
         02000000 0a 00 0a00 00000000 00000000 | GOAWAY, refused
         6e6f
         00000000 0a 00 0400 00000000 00000000 | GOAWAY, ack",
        |encoder, out| {
            encoder.go_away(Reason::Refused, "no", out);
            encoder.go_away(Reason::Ack, "", out);
        },
    );
    assert_eq!(
        read,
        [
            r#"GoAway { reason: Refused, text: "no" }"#,
            r#"GoAway { reason: Ack, text: "" }"#,
        ]
    );
}

#[test]
fn a_long_body_goes_as_a_first_frame_and_data() {
    let mut out = Out::new(1024);
    let mut encoder = encoder(Limits::default());
    let request = Request::new("Echo", Body::from(vec![7; 65_537]));
    let lane = encoder.request(call(1), &request, None, &mut out).unwrap();
    assert_eq!(lane, Lane::Bulk);
    assert_eq!(out.len(), 16 + 5, "only the binding goes at once");
    out.clear(0);
    assert!(!encoder.next_chunk(&mut out).unwrap().last);
    assert!(encoder.next_chunk(&mut out).unwrap().last);
    assert_eq!(encoder.next_chunk(&mut out), None);
    let written = out.copy_to_bytes(out.len());
    assert_eq!(
        hex(&written[..24]),
        "080001000201010002000000000000000100010000000000"
    );
    assert_eq!(
        hex(&written[24 + 65_536..]),
        "0100000005200000020000000000000007"
    );
}

#[test]
fn where_no_number_is_left_the_name_travels_each_time() {
    let mut encoder = encoder(Limits::default());
    let mut out = Out::new(usize::MAX);
    for n in 0..1024 {
        let request = Request::new(n.to_string(), Body::empty());
        encoder.request(call(1), &request, None, &mut out).unwrap();
    }
    out.clear(0);
    encoder
        .request(call(1), &json("Echo", "42"), None, &mut out)
        .unwrap();
    assert_eq!(
        hex(&out.copy_to_bytes(out.len())),
        [
            "0c000000 02 04 0000 02000000 00000000", // number 0, META
            "0800 02 0500 02 4563686f",              // METHOD: JSON, Echo
            "3432",
        ]
        .concat()
        .replace(' ', "")
    );
}

#[test]
fn the_call_of_the_specification_is_written_and_read() {
    let [asked, answered] = example();
    let mut out = Out::new(usize::MAX);
    let left = Some(Duration::from_secs(1));
    encoder(Limits::default())
        .request(call(1), &json("Echo", "42"), left, &mut out)
        .unwrap();
    assert_eq!(hex(&out.copy_to_bytes(out.len())), hex(&asked[24..]));
    assert_eq!(
        read(Role::Acceptor, &asked),
        [r#"request Dialer#1 Some(1s) [52, 50] Encoding(2) "Echo" Encoding(2) 0 Metadata(None)"#]
    );

    let mut out = Out::new(usize::MAX);
    let response = Response::new(Body::encoded("42".into(), encoding::JSON));
    let mut encoder = Native::default().split(Role::Acceptor).0;
    encoder.response(call(1), Ok(&response), &mut out).unwrap();
    assert_eq!(hex(&out.copy_to_bytes(out.len())), hex(&answered[24..]));
    assert_eq!(
        read(Role::Dialer, &answered),
        ["answer Dialer#1 [52, 50] Encoding(255) Metadata(None)"]
    );
}
