//! Bytes that break the protocol: each is a violation that says what, and never anything worse.

use bytes::BytesMut;
use steeple::wire::{
    Decoder, Frame, Reason, Role, Wire,
    native::{Limits, Native},
    numbers::{flag, kind, preface},
};

use crate::support::{Line, drain, frame, json, one};

const PREFACE: [u8; 8] = [0x9E, b's', b't', 0xF0, b'\r', b'\n', 1, 1];

/// The text of the violation of these bytes behind the preface.
fn before_hello(bytes: &[u8]) -> String {
    let mut decoder = Native::default().split(Role::Acceptor).1;
    let mut input = BytesMut::from(&[&PREFACE[..], bytes].concat()[..]);
    drain(&mut decoder, &mut input).unwrap_err().to_string()
}

#[test]
fn another_protocol_is_told_so_at_its_first_wrong_byte() {
    let plain = "not a steeple connection";
    let tls = "not a steeple connection: the peer speaks TLS";
    for (bytes, text) in [
        (&b"G"[..], plain),
        (b"\x16", plain),
        (b"\x16\x03\x01", tls),
        (b"\x15\x03\x03\x00\x02", tls),
        (b"\x9est\xf0\r\r", plain),
    ] {
        let mut decoder = Native::default().split(Role::Acceptor).1;
        let violation = decoder.decode(&mut BytesMut::from(bytes)).unwrap_err();
        assert_eq!(violation.to_string(), text);
        assert_eq!(violation.reason(), Reason::Protocol);
    }
}

#[test]
fn an_offer_of_compression_may_stand_before_a_clients_preface_once() {
    const OFFER: [u8; 8] = [0x9D, b'z', 0xF3, b'\r', b'\n', 1, 1, 3];
    let decoder = |role| Native::default().split(role).1;
    let mut acceptor = decoder(Role::Acceptor);
    let mut input = BytesMut::new();
    for byte in &OFFER[..7] {
        input.extend_from_slice(&[*byte]);
        assert!(acceptor.decode(&mut input).unwrap().is_none());
    }
    input.extend_from_slice(&OFFER[7..]);
    assert!(matches!(
        acceptor.decode(&mut input),
        Ok(Some(Frame::Offer))
    ));
    assert!(acceptor.is_between_frames());
    let hello = frame(kind::HELLO, 0, 0, 0, 0, b"");
    input.extend_from_slice(&[&PREFACE[..], &hello].concat());
    let frames = drain(&mut acceptor, &mut input).unwrap();
    assert!(matches!(&frames[..], [Frame::Hello(_)]));

    let twice = [OFFER, OFFER].concat();
    let mut acceptor = decoder(Role::Acceptor);
    assert!(drain(&mut acceptor, &mut BytesMut::from(&twice[..])).is_err());
    let mut dialer = decoder(Role::Dialer);
    assert!(dialer.decode(&mut BytesMut::from(&OFFER[..])).is_err());
}

#[test]
fn a_version_that_is_not_spoken_here_is_named() {
    let mut decoder = Native::default().split(Role::Acceptor).1;
    let mut bytes = PREFACE;
    bytes[6..].fill(preface::MAX_VERSION + 1);
    let violation = decoder.decode(&mut BytesMut::from(&bytes[..])).unwrap_err();
    assert_eq!(violation.reason(), Reason::Version);
}

#[test]
fn only_a_farewell_may_come_before_hello_and_hello_comes_once() {
    let hello = frame(kind::HELLO, 0, 0, 0, 0, b"");
    let go_away = frame(kind::GOAWAY, 0, 10, 0, 0, b"no");
    let ping = frame(kind::PING, 0, 0, 0, 1, b"");
    assert!(before_hello(&ping).contains("kind 8 before HELLO"));
    assert!(before_hello(&[&hello[..], &hello].concat()).contains("second HELLO"));
    let mut decoder = Native::default().split(Role::Dialer).1;
    let bytes = [&PREFACE[..], &go_away, &hello, &ping].concat();
    let frames = drain(&mut decoder, &mut BytesMut::from(&bytes[..])).unwrap();
    assert!(
        matches!(
            &frames[..],
            [
                Frame::GoAway { reason: Reason::Refused, text },
                Frame::Hello(_),
                Frame::Ping(1),
            ] if text == "no"
        ),
        "{frames:?}"
    );
}

#[test]
fn frames_that_cannot_be_end_the_connection() {
    for (bytes, text) in [
        (frame(0, 0, 0, 0, 0, b""), "kind 0 is not known"),
        (frame(kind::CREDIT, 0, 0, 0, 0, b""), "kind 7 is not known"),
        (frame(kind::SWITCH, 0, 0, 0, 0, b""), "kind 13 is not known"),
        (frame(127, 0, 0, 0, 0, b""), "kind 127 is not known"),
        (frame(kind::PING, 0x80, 0, 0, 0, b""), "reserved flag"),
        (frame(kind::RESPONSE, 0x80, 0, 3, 0, b""), "reserved flag"),
        (frame(kind::REQUEST, 0, 1, 0, 0, b""), "Dialer#0"),
        (frame(kind::REQUEST, 0, 1, 3, 0, b""), "Acceptor#1"),
        (frame(kind::RESPONSE, 0, 0, 1, 0, b""), "Acceptor#0"),
        (frame(kind::RESPONSE, 0, 0, 2, 0, b""), "Dialer#1"),
        (frame(kind::ONEWAY, flag::MORE, 1, 0, 0, b""), "Dialer#0"),
        (frame(kind::BIND, 0, 1, 0, 0, b"\x01e"), "number 1 is bound"),
        (frame(kind::BIND, 0, 0, 0, 0, b"\x01e"), "number 0 is bound"),
        (frame(kind::BIND, 0, 2, 0, 0, b"\x02e"), "cut short"),
    ] {
        let mut line = Line::new();
        line.request(1, &json("Echo", ""));
        line.read();
        let error = line.violation(&bytes);
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_header_alone() {
    let max = Limits::new().hello().max_frame;
    for kind in [kind::REQUEST, kind::DATA, kind::PAD] {
        let mut header = frame(kind, 0, 1, 2, 0, b"");
        header[..4].copy_from_slice(&(max + 1).to_le_bytes());
        let error = Line::new().violation(&header);
        assert!(
            error.contains("131073 bytes exceeds max_frame (131072)"),
            "{error}"
        );
    }
}

#[test]
fn a_limit_below_the_floor_does_not_count() {
    let limits = Limits::new().max_frame(1).max_bindings(1);
    let mut line = Line::with(limits);
    for n in 0..1024 {
        line.request(1, &json(n.to_string(), "x"));
    }
    assert_eq!(line.read().len(), 1024);
}

#[test]
fn what_may_be_ignored_is_skipped_as_it_comes() {
    let mut line = Line::new();
    let ping = frame(kind::PING, 0, 0, 0, 7, b"a longer payload than is known");
    let bytes = [
        frame(kind::PAD, 0x80, 9, 9, 9, &[0; 1000]),
        frame(0x80, 0, 0, 0, 0, &[0; 1000]),
        ping.clone(),
        ping,
    ]
    .concat();
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    for byte in bytes {
        input.extend_from_slice(&[byte]);
        frames.extend(drain(&mut line.decoder, &mut input).unwrap());
        assert!(input.len() < 16, "a payload is kept");
    }
    assert!(
        matches!(frames[..], [Frame::Ping(7), Frame::Ping(7)]),
        "{frames:?}"
    );
    assert!(line.decoder.is_between_frames());
}

#[test]
fn a_farewell_is_kept_to_a_readable_length() {
    let text = vec![b'x'; 5000];
    let frame = one(Line::new()
        .feed(&frame(kind::GOAWAY, 0, 5, 0, 0, &text))
        .unwrap());
    let Frame::GoAway { reason, text } = frame else {
        panic!("{frame:?}");
    };
    assert_eq!((reason, text.len()), (Reason::Now, 1024));
}

#[test]
fn a_small_body_does_not_keep_the_read_buffer_alive() {
    let mut line = Line::new();
    line.request(1, &json("Echo", vec![b'x'; 2047]));
    line.request(2, &json("Echo", vec![b'x'; 2048]));
    let bytes = line.take();
    let mut input = BytesMut::from(&bytes[..]);
    let range = input.as_ptr_range();
    let frames = drain(&mut line.decoder, &mut input).unwrap();
    let inside: Vec<bool> = frames
        .iter()
        .map(|frame| match frame {
            Frame::Request { request, .. } => range.contains(&request.body().as_bytes().as_ptr()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(inside, [false, true]);
}
