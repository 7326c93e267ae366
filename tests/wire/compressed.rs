//! Compressed bodies: what they look like, and what is refused before it is decompressed.

use bytes::Buf;
use steeple::{
    Body, BodyCompression, Execution, Kind, Request, Response,
    wire::{
        Encoder, Frame, Lane,
        compression::{compress, decompress},
        native::Limits,
        numbers::{compression, flag, kind, metadata},
    },
};

use crate::support::{Line, call, call_back, failed, frame, one, refused};

/// 21 times the letter a: after the prefix, a block of LZ4 and a frame of Zstandard, by hand.
const LZ4: &[u8] = b"\x01\x15\0\0\0\x1b\x61\x01\0\x50aaaaa";
const ZSTD: &[u8] = b"\x02\x15\0\0\0\x28\xb5\x2f\xfd\x20\x15\xab\0\0a";

/// A request by hand, which names its method.
fn request(body: &[u8]) -> Vec<u8> {
    let meta = [&[5, 0, metadata::METHOD, 2, 0, 0][..], b"m"].concat();
    let flags = flag::META | flag::COMPRESSED;
    frame(kind::REQUEST, flags, 0, 2, 0, &[&meta, body].concat())
}

fn body_of(frames: Vec<Frame>) -> Body {
    match one(frames) {
        Frame::Request { request, .. } => request.into_body(),
        Frame::Response { result, .. } => result.unwrap().into_body(),
        other => panic!("{other:?} has no body"),
    }
}

#[test]
fn a_compressed_body_is_an_algorithm_a_plain_length_and_its_bytes() {
    for golden in [LZ4, ZSTD] {
        let mut line = Line::new();
        let body = body_of(line.feed(&request(golden)).unwrap());
        assert!(body.is_compressed());
        assert_eq!(
            decompress(body.clone()).unwrap(),
            Body::from("a".repeat(21))
        );

        line.request(1, &Request::new("m", body.clone()));
        let written = line.take();
        assert!(written.ends_with(golden));
        let header = &written[written.len() - golden.len() - 16..];
        assert_eq!((header[4], header[5]), (kind::REQUEST, flag::COMPRESSED));
        assert_eq!(body_of(line.feed(&written).unwrap()), body);
    }
}

#[test]
fn an_answer_is_compressed_as_a_request_is() {
    let mut line = Line::new();
    let body = body_of(line.feed(&request(LZ4)).unwrap());
    let response = Response::new(body.clone());
    let (id, out) = (call_back(1), &mut line.out);
    line.encoder.response(id, Ok(&response), out).unwrap();
    assert_eq!(body_of(line.read()), body);
}

#[test]
fn a_compressed_body_may_come_in_pieces() {
    // Pseudorandom bytes, and so many zeros that they get shorter by being compressed.
    let mut seed = 1u32;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    let plain: Vec<u8> = noise.take(200_000).chain([0; 100_000]).collect();
    for compression in [BodyCompression::Lz4, BodyCompression::Zstd] {
        let mut line = Line::new();
        let body = compress(Body::from(plain.clone()).with_compression(compression));
        assert!((200_000..210_000).contains(&body.len()));
        let request = Request::new("m", body);
        let lane = line.encoder.request(call(1), &request, None, &mut line.out);
        assert_eq!(lane.unwrap(), Lane::Bulk);
        while line.encoder.next_chunk(&mut line.out).is_some() {}
        let whole = body_of(line.read());
        assert_eq!(decompress(whole).unwrap().as_bytes(), &plain);
    }
}

#[test]
fn what_is_not_decoded_or_cannot_be_is_refused_and_the_connection_lives() {
    let limits = Limits::new()
        .max_message(1000)
        .compressions([BodyCompression::Lz4]);
    let mut line = Line::with(limits);
    for (body, kind, text) in [
        (
            ZSTD,
            Kind::Unimplemented,
            "compression 2 is not decoded here",
        ),
        (b"\x63\x01\0\0\0a", Kind::Unimplemented, "compression 99"),
        (b"\x01\x01\0\0", Kind::Invalid, "at least 5 bytes, not 4"),
        (
            b"\x01\xe9\x03\0\0aaaa",
            Kind::Overflow,
            "1001 bytes exceeds max_message (1000)",
        ),
        (
            b"\x01\xff\x01\0\0aa",
            Kind::Invalid,
            "2 compressed bytes cannot stand for 511",
        ),
        (
            b"\x01\xff\xff\xff\xff",
            Kind::Invalid,
            "0 compressed bytes cannot stand for 4294967295",
        ),
    ] {
        let (id, error) = refused(line.feed(&request(body)).unwrap());
        assert_eq!((id, error.kind()), (call(1), kind), "{error}");
        assert_eq!(error.execution(), Execution::NotStarted);
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(body_of(line.feed(&request(LZ4)).unwrap()).is_compressed());
}

#[test]
fn an_answer_that_is_not_decoded_was_executed_and_an_error_is_never_compressed() {
    let mut line = Line::with(Limits::new().compressions([]));
    for (code, text) in [(0, "not decoded here"), (9, "error is never compressed")] {
        let answer = frame(kind::RESPONSE, flag::COMPRESSED, code, 3, 0, LZ4);
        let (id, error) = failed(line.feed(&answer).unwrap());
        assert_eq!((id, error.kind()), (call_back(1), Kind::Invalid));
        assert_eq!(error.execution(), Execution::Executed);
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn the_peers_limit_is_one_of_the_plain_length() {
    let mut line = Line::new();
    let plain = vec![0; 64 * 1024 * 1024 + 1];
    let body = compress(Body::from(plain).with_compression(BodyCompression::Zstd));
    assert!(body.len() < 10_000);
    let error = line
        .encoder
        .request(call(1), &Request::new("m", body), None, &mut line.out)
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("67108865 bytes"), "{error}");
    assert!(!line.out.has_remaining());
}

#[test]
fn the_numbers_are_those_of_the_specification() {
    let compressions = [BodyCompression::Lz4, BodyCompression::Zstd].map(|compression| {
        let body = Body::from(vec![0; 1000]).with_compression(compression);
        compress(body).as_bytes()[0]
    });
    assert_eq!(compressions, [compression::LZ4, compression::ZSTD]);
}
