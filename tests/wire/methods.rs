//! What a message can be, and what is refused before it is written or when it is read.

use std::time::Duration;

use steeple::{
    Body, Encoding, Error, Execution, Kind, Origin, Request, Response,
    wire::{
        Encoder, Frame,
        native::Limits,
        numbers::{encoding, kind},
    },
};

use crate::support::{Line, call, call_back, failed, frame, json, one, refused};

/// The error of a request that is refused here.
fn not_written(line: &mut Line, request: &Request) -> String {
    let error = line.encoder.request(call(1), request, None, &mut line.out);
    let error = error.unwrap_err();
    assert!(line.out.is_empty(), "something was written");
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.execution(), Execution::NotSent);
    error.to_string()
}

#[test]
fn a_request_keeps_all_that_travels() {
    let mut line = Line::new();
    let mut request = json("Echo", "42");
    request.cx_mut().set_attempt(3);
    request.metadata_mut().append("k", "v");
    let left = Duration::from_micros(1234);
    line.encoder
        .request(call(5), &request, Some(left), &mut line.out)
        .unwrap();
    let Frame::Request {
        id,
        remaining,
        request: got,
    } = one(line.read())
    else {
        panic!("no request");
    };
    assert_eq!((id, remaining), (call(5), Some(left)));
    assert_eq!(got.method(), "Echo");
    assert_eq!(got.body(), request.body());
    assert_eq!(got.encoding(), encoding::JSON);
    assert_eq!(got.cx().attempt(), 3);
    assert_eq!(got.metadata(), request.metadata());
}

#[test]
fn any_deadline_survives_and_none_is_shorter_than_a_microsecond() {
    let mut line = Line::new();
    let top = u64::from(u32::MAX);
    for (sent, got) in [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (Duration::from_micros(top - 1), top - 1),
        (Duration::from_micros(top), top),
        (Duration::from_micros(top + 1), top + 1),
        (Duration::MAX, u64::MAX),
    ] {
        let request = json("Echo", "");
        line.encoder
            .request(call(1), &request, Some(sent), &mut line.out)
            .unwrap();
        let Frame::Request { remaining, .. } = one(line.read()) else {
            panic!("no request");
        };
        assert_eq!(remaining, Some(Duration::from_micros(got)), "{sent:?}");
    }
}

#[test]
fn a_one_way_message_says_that_it_is_one() {
    let mut line = Line::new();
    let request = json("Tell", "1");
    line.encoder.one_way(None, &request, &mut line.out).unwrap();
    let Frame::OneWay(got) = one(line.read()) else {
        panic!("no one-way message");
    };
    assert!(got.cx().is_one_way());
    assert_eq!(got.body(), request.body());
}

#[test]
fn a_raw_body_may_ask_for_an_encoded_answer() {
    let mut line = Line::new();
    let mut request = Request::new("Echo", Body::from("raw"));
    request.set_encoding(encoding::POSTCARD);
    line.request(1, &request);
    let Frame::Request { request: got, .. } = one(line.read()) else {
        panic!("no request");
    };
    assert_eq!(got.encoding(), encoding::POSTCARD);
    assert_eq!(got.body(), request.body());
}

#[test]
fn a_body_in_a_third_encoding_is_not_written() {
    let mut request = json("Echo", "1");
    request.set_encoding(encoding::BINCODE);
    let error = not_written(&mut Line::new(), &request);
    assert!(
        error.contains("encoding 2") && error.contains("in 1"),
        "{error}"
    );
}

#[test]
fn what_is_too_large_is_not_written_and_the_error_names_the_limit() {
    let mut line = Line::new();
    let error = not_written(&mut line, &json("m".repeat(256), ""));
    assert!(error.contains("256 bytes exceeds the limit 255"), "{error}");

    let mut request = json("Echo", "");
    request.metadata_mut().insert("k", vec![0; 17_000]);
    let error = not_written(&mut line, &request);
    assert!(error.contains("max_metadata (16384"), "{error}");

    let body = vec![0; 64 * 1024 * 1024 + 1];
    let error = not_written(&mut line, &Request::new("Echo", body.into()));
    assert!(
        error.contains("67108865") && error.contains("max_message (67108864)"),
        "{error}"
    );

    // A method name of the longest length is written.
    line.request(1, &json("m".repeat(255), ""));
    assert!(matches!(one(line.read()), Frame::Request { .. }));
}

#[test]
fn a_peer_may_take_more_than_the_floor() {
    let mut line = Line::new();
    let limits = Limits::new()
        .max_message(65 * 1024 * 1024)
        .max_bindings(1025);
    line.encoder.peer_hello(&limits.hello());
    let body = Body::from(vec![0; 64 * 1024 * 1024 + 1]);
    line.request(1, &Request::new("Echo", body));
}

#[test]
fn an_answer_that_is_too_large_was_executed() {
    let mut line = Line::new();
    let mut response = Response::new(Body::empty());
    response.metadata_mut().insert("k", vec![0; 17_000]);
    let large = Response::new(Body::from(vec![0; 64 * 1024 * 1024 + 1]));
    for response in [response, large] {
        let error = line
            .encoder
            .response(call_back(1), Ok(&response), &mut line.out);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.execution(), Execution::Executed);
        assert!(error.to_string().contains("max_me"), "{error}");
        assert!(line.out.is_empty());
    }
}

#[test]
fn an_answer_keeps_its_metadata_and_whether_it_is_raw() {
    let mut line = Line::new();
    for (sent, got) in [
        (encoding::JSON, encoding::BOUND),
        (Encoding::RAW, Encoding::RAW),
    ] {
        let mut response = Response::new(Body::encoded("x".into(), sent));
        response.metadata_mut().insert("k", "v");
        line.encoder
            .response(call_back(1), Ok(&response), &mut line.out)
            .unwrap();
        let Frame::Response { id, result } = one(line.read()) else {
            panic!("no answer");
        };
        let answer = result.unwrap();
        assert_eq!(id, call_back(1));
        assert_eq!(answer.metadata(), response.metadata());
        assert_eq!(answer.body(), &Body::encoded("x".into(), got));
    }
}

#[test]
fn an_error_with_long_details_goes_by_the_bulk_lane_and_survives() {
    let mut line = Line::new();
    let error = Error::application(1, "no").with_details(2, vec![7; 100_000]);
    line.encoder
        .response(call_back(1), Err(&error), &mut line.out)
        .unwrap();
    while line.encoder.next_chunk(&mut line.out).is_some() {}
    let (_, got) = failed(line.read());
    let (_, details) = got.as_application().unwrap().details().unwrap();
    assert_eq!(details, [7; 100_000]);
}

#[test]
fn more_methods_than_numbers_are_all_called_by_their_names() {
    let mut line = Line::new();
    for n in 0..1100 {
        line.request(1, &json(n.to_string(), "1"));
    }
    let frames = line.read();
    assert_eq!(frames.len(), 1100);
    for (n, frame) in frames.iter().enumerate() {
        let Frame::Request { request, .. } = frame else {
            panic!("{frame:?}");
        };
        assert_eq!(request.method().as_str(), n.to_string());
        assert_eq!(request.encoding(), encoding::JSON);
    }
}

#[test]
fn a_request_that_cannot_be_served_is_refused_and_the_connection_lives() {
    let limits = Limits::new().encodings([encoding::JSON]).max_message(10);
    let mut line = Line::with(limits);
    line.request(1, &json("Echo", "1"));
    line.read();
    let request = |flags, code, aux, payload| frame(kind::REQUEST, flags, code, 4, aux, payload);
    let bincode = frame(kind::BIND, 0, 2, 0, 0, &[1, b'e', 1, 0, 1, 0, 1]);
    assert!(line.feed(&bincode).unwrap().is_empty());
    for (bytes, kind, text) in [
        (
            request(0, 7, 0, b""),
            Kind::Invalid,
            "method number 7 is not bound",
        ),
        (request(0, 0, 0, b""), Kind::Invalid, "method number 0"),
        (
            request(0, 2, 0, b""),
            Kind::Invalid,
            "encoding 1 is not served",
        ),
        (
            request(4, 1, 0, b"\xff"),
            Kind::Invalid,
            "metadata is cut short",
        ),
        (request(0, 1, u32::MAX, b""), Kind::Invalid, "deadline"),
        (
            request(0, 1, 0, b"elevenbytes"),
            Kind::Overflow,
            "11 bytes exceeds max_message (10)",
        ),
        (request(0x80, 1, 0, b""), Kind::Unimplemented, "reserved"),
        (request(8, 1, 0, b""), Kind::Invalid, "compressed"),
    ] {
        let (id, error) = refused(line.feed(&bytes).unwrap());
        assert_eq!(id, call(2));
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.origin(), Origin::Local);
        assert_eq!(error.execution(), Execution::NotStarted);
        assert!(error.to_string().contains(text), "{error}");
        // A one-way message is dropped for the same reasons, but for the flag that nobody can refuse.
        let mut one_way = bytes;
        one_way[4] = kind::ONEWAY;
        one_way[12..16].fill(0);
        if text != "deadline" && text != "reserved" {
            assert!(line.feed(&one_way).unwrap().is_empty(), "{text}");
        }
    }
    assert!(matches!(
        one(line.feed(&request(0x40, 1, 0, b"1")).unwrap()),
        Frame::Request { .. }
    ));
}

#[test]
fn an_answer_that_cannot_be_read_was_executed() {
    let limits = Limits::new().max_message(10);
    let mut line = Line::with(limits);
    for (flags, payload, text) in [
        (4, &b"\xff"[..], "metadata is cut short"),
        (2, b"", "streams"),
        (8, b"", "compressed"),
        (0, b"elevenbytes", "max_message (10)"),
    ] {
        let bytes = frame(kind::RESPONSE, flags, 0, 3, 0, payload);
        let (id, error) = failed(line.feed(&bytes).unwrap());
        assert_eq!(id, call_back(1));
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.execution(), Execution::Executed);
        assert!(error.to_string().contains(text), "{error}");
    }
}
