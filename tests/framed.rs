//! The native wire as a `tokio_util` codec, over an in-memory stream.

use std::io::ErrorKind;

use futures_util::{SinkExt, StreamExt};
use steeple::{
    Body, Error, Kind, Request, Response,
    transport::framed::NativeCodec,
    wire::{
        Frame, Id, Reason, Role, Violation,
        native::{Limits, Native},
        numbers::encoding,
    },
};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_util::codec::Framed;

type Frames = Framed<DuplexStream, NativeCodec>;

/// Two ends with a pipe so small that long messages do not fit.
fn pair(limits: Limits) -> (Frames, Frames) {
    let (near, far) = tokio::io::duplex(1000);
    let dialer = NativeCodec::new(Native::default(), Role::Dialer);
    let acceptor = NativeCodec::new(Native::new(limits), Role::Acceptor);
    (Framed::new(near, dialer), Framed::new(far, acceptor))
}

fn request(index: u32, len: usize) -> Frame {
    let body = Body::encoded(vec![b'x'; len].into(), encoding::JSON);
    Frame::Request {
        id: Id::new(Role::Dialer, index),
        remaining: None,
        request: Request::new("Echo", body),
    }
}

async fn next(frames: &mut Frames) -> Frame {
    frames.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn frames_travel_both_ways_and_the_opening_by_itself() {
    let (mut dialer, mut acceptor) = pair(Limits::default());
    dialer.send(request(1, 3)).await.unwrap();
    let hello = next(&mut acceptor).await;
    assert!(matches!(hello, Frame::Hello(hello) if hello.agent.starts_with("steeple/")));
    let Frame::Request { id, request, .. } = next(&mut acceptor).await else {
        panic!("no request");
    };
    assert_eq!(request.method(), "Echo");
    let result = Ok(Response::new(request.into_body()));
    acceptor.send(Frame::Response { id, result }).await.unwrap();
    assert!(matches!(next(&mut dialer).await, Frame::Hello(_)));
    let Frame::Response { result, .. } = next(&mut dialer).await else {
        panic!("no answer");
    };
    assert_eq!(result.unwrap().body().as_bytes(), "xxx");

    let error = Error::new(Kind::Overflow, "full");
    acceptor.send(Frame::Refused { id, error }).await.unwrap();
    let Frame::Response { result, .. } = next(&mut dialer).await else {
        panic!("no answer");
    };
    assert_eq!(result.unwrap_err().kind(), Kind::Overflow);
}

#[tokio::test]
async fn long_messages_travel_whole() {
    let (mut dialer, mut acceptor) = pair(Limits::default());
    let Frame::Request { request: long, .. } = request(1, 300_000) else {
        unreachable!();
    };
    let send = async {
        dialer.send(request(1, 200_000)).await.unwrap();
        dialer.send(Frame::OneWay(long)).await.unwrap();
    };
    let receive = async {
        next(&mut acceptor).await;
        let first = next(&mut acceptor).await;
        assert!(matches!(first, Frame::Request { request, .. } if request.body().len() == 200_000));
        let second = next(&mut acceptor).await;
        assert!(matches!(second, Frame::OneWay(request) if request.body().len() == 300_000));
    };
    tokio::join!(send, receive);
}

#[tokio::test]
async fn a_refusal_needs_no_opening() {
    let (mut dialer, mut acceptor) = pair(Limits::default());
    let text = String::from("not here");
    let reason = Reason::Refused;
    acceptor.send(Frame::GoAway { reason, text }).await.unwrap();
    let frame = next(&mut dialer).await;
    assert!(
        matches!(&frame, Frame::GoAway { reason: Reason::Refused, text } if text == "not here"),
        "{frame:?}"
    );
}

#[tokio::test]
async fn the_limits_that_the_peer_tells_hold_from_then_on() {
    let limits = Limits::new().max_message(65 * 1024 * 1024);
    let (mut dialer, mut acceptor) = pair(limits);
    let len = 64 * 1024 * 1024 + 1;
    let error = dialer.send(request(1, len)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("max_message"), "{error}");

    dialer.flush().await.unwrap();
    assert!(matches!(next(&mut acceptor).await, Frame::Hello(_)));
    acceptor.send(Frame::Ping(1)).await.unwrap();
    assert!(matches!(next(&mut dialer).await, Frame::Hello(_)));
    dialer.feed(request(1, len)).await.unwrap();
}

#[tokio::test]
async fn a_broken_protocol_is_invalid_data_with_the_violation_inside() {
    let (mut near, far) = tokio::io::duplex(1000);
    let codec = NativeCodec::new(Native::default(), Role::Acceptor);
    let mut acceptor = Framed::new(far, codec);
    near.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let error = acceptor.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let violation = error.get_ref().unwrap().downcast_ref::<Violation>();
    assert_eq!(violation.unwrap().to_string(), "not a steeple connection");
}

#[tokio::test]
async fn an_end_within_a_frame_is_told_from_one_between_two() {
    for (cut, expected) in [(0, None), (1, Some(ErrorKind::UnexpectedEof))] {
        let (mut near, far) = tokio::io::duplex(1000);
        let codec = NativeCodec::new(Native::default(), Role::Acceptor);
        let mut acceptor = Framed::new(far, codec);
        let preface = [0x9E, b's', b't', 0xF0, b'\r', b'\n', 1, 1];
        // PAD, whose payload is not kept while it is skipped.
        let pad = [4, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        let bytes = [&preface[..], &pad].concat();
        near.write_all(&bytes[..bytes.len() - cut]).await.unwrap();
        drop(near);
        let end = acceptor.next().await.map(|frame| frame.unwrap_err().kind());
        assert_eq!(end, expected);
    }
}
