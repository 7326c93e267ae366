//! What holds for any messages and any bytes.

use std::{collections::HashMap, time::Duration};

use bytes::{Buf, BytesMut};
use proptest::{collection::vec, option, prelude::*, sample::Index};
use steeple::{
    Body, Encoding, Error, Execution, Kind, Metadata, Origin, Request, Response,
    wire::{
        Decoder, Encoder, Frame, Id, Lane, Out, Reason, Role, Wire,
        native::{Native, NativeDecoder},
        numbers::encoding,
    },
};

use crate::support::{call, call_back, drain, frame, show};

/// Something that the dialling side writes.
#[derive(Clone, Debug)]
enum Op {
    Request(Request, Option<Duration>),
    OneWay(Request),
    Answer(Response),
    Fail(Fail),
    Cancel(Reason),
    Ping(u32),
    Pong(u32),
    GoAway(Reason, String),
    /// A chunk of the bulk lane, if there is one.
    Chunk,
}

#[derive(Clone, Debug)]
struct Fail {
    kind: Kind,
    code: Option<u16>,
    text: String,
    details: Vec<u8>,
    wait: Option<u32>,
    execution: Execution,
}

impl Fail {
    fn error(&self) -> Error {
        let mut error = match self.code {
            Some(code) => Error::application(code, self.text.clone())
                .with_details(encoding::JSON.number(), self.details.clone()),
            None => Error::new(self.kind, self.text.clone()).with_execution(self.execution),
        };
        if let Some(wait) = self.wait {
            error = error.with_retry_after(Duration::from_micros(wait.into()));
        }
        error
    }

    /// What the caller is told.
    fn told(&self) -> Error {
        let mut error = self.error().with_origin(Origin::Remote);
        // A handler that returns it was reached; only the call that it nested was not sent.
        if error.execution() == Execution::NotSent {
            error = error.with_execution(Execution::MaybeExecuted);
        }
        if self.code.is_some() && !self.details.is_empty() {
            error = error.with_details(encoding::BOUND.number(), self.details.clone());
        } else if let Some(code) = self.code {
            // Empty details do not travel.
            let plain = Error::application(code, self.text.clone()).with_origin(Origin::Remote);
            error = match self.wait {
                Some(wait) => plain.with_retry_after(Duration::from_micros(wait.into())),
                None => plain,
            };
        }
        error
    }
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..50),
        2 => (any::<u8>(), 1000usize..3000).prop_map(|(byte, len)| vec![byte; len]),
        1 => (any::<u8>(), 60_000usize..200_000).prop_map(|(byte, len)| {
            (0..len).map(|at| byte.wrapping_add(at as u8)).collect()
        }),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let entries = prop_oneof![
        3 => Just(Vec::new()),
        1 => vec(("[a-z]{1,5}", vec(any::<u8>(), 0..9)), 1..4),
    ];
    entries.prop_map(|entries| {
        let mut metadata = Metadata::new();
        for (name, value) in entries {
            metadata.append(name, value);
        }
        metadata
    })
}

fn encodings() -> impl Strategy<Value = Encoding> {
    prop_oneof![
        Just(Encoding::RAW),
        Just(encoding::JSON),
        Just(Encoding::new(64))
    ]
}

fn requests() -> impl Strategy<Value = Request> {
    let method = prop_oneof!["[A-C]?", "é{0,127}"];
    let attempt = prop_oneof![3 => Just(0), 1 => any::<u32>()];
    (
        method,
        bodies(),
        encodings(),
        any::<bool>(),
        attempt,
        metadata(),
    )
        .prop_map(|(method, body, encoding, raw, attempt, metadata)| {
            let own = if raw { Encoding::RAW } else { encoding };
            let mut request = Request::new(method, Body::encoded(body.into(), own));
            request.set_encoding(encoding);
            request.cx_mut().set_attempt(attempt);
            *request.metadata_mut() = metadata;
            request
        })
}

fn responses() -> impl Strategy<Value = Response> {
    (bodies(), encodings(), metadata()).prop_map(|(body, encoding, metadata)| {
        let mut response = Response::new(Body::encoded(body.into(), encoding));
        *response.metadata_mut() = metadata;
        response
    })
}

fn fails() -> impl Strategy<Value = Fail> {
    let kind = prop_oneof![
        Just(Kind::Overflow),
        Just(Kind::Invalid),
        Just(Kind::Timeout)
    ];
    let execution = prop_oneof![
        Just(Execution::NotSent),
        Just(Execution::NotStarted),
        Just(Execution::MaybeExecuted),
        Just(Execution::Executed),
    ];
    let code = option::of(0..=0x7EFFu16);
    let wait = option::of(any::<u32>());
    (kind, code, "[a-zé]{0,40}", bodies(), wait, execution).prop_map(
        |(kind, code, text, details, wait, execution)| Fail {
            kind,
            code,
            text,
            details,
            wait,
            execution,
        },
    )
}

fn reasons() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::Dropped),
        Just(Reason::Now),
        (100u16..).prop_map(Reason::Other),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let remaining =
        option::of(any::<u64>().prop_map(|micros| Duration::from_micros(micros.max(1))));
    prop_oneof![
        4 => (requests(), remaining).prop_map(|(request, left)| Op::Request(request, left)),
        1 => requests().prop_map(Op::OneWay),
        2 => responses().prop_map(Op::Answer),
        1 => fails().prop_map(Op::Fail),
        1 => reasons().prop_map(Op::Cancel),
        1 => any::<u32>().prop_map(Op::Ping),
        1 => any::<u32>().prop_map(Op::Pong),
        1 => (reasons(), "[a-zé]{0,40}").prop_map(|(reason, text)| Op::GoAway(reason, text)),
        2 => Just(Op::Chunk),
    ]
}

/// What was written, and what is to be read from it, in order.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    expected: Vec<String>,
    /// What is to be read when the last chunk of a message is written.
    waiting: HashMap<Id, String>,
}

impl Written {
    fn expect(&mut self, lane: Lane, id: Id, frame: &Frame) {
        match lane {
            Lane::Whole => self.expected.push(show(frame)),
            Lane::Bulk => drop(self.waiting.insert(id, show(frame))),
        }
    }

    fn chunk(&mut self, encoder: &mut impl Encoder, out: &mut Out) -> bool {
        let Some(chunk) = encoder.next_chunk(out) else {
            return false;
        };
        if chunk.last {
            self.expected.extend(self.waiting.remove(&chunk.id));
        }
        true
    }
}

/// How a request is to arrive.
fn received(mut request: Request) -> Request {
    if request.encoding().is_raw() {
        request.set_encoding(request.body().encoding());
    }
    request
}

fn write(ops: Vec<Op>) -> Written {
    let mut encoder = Native::default().split(Role::Dialer).0;
    let mut out = Out::new(500);
    let mut written = Written::default();
    encoder.hello(&mut out);
    for (index, op) in (1..).zip(ops) {
        match op {
            Op::Request(request, remaining) => {
                let id = call(index);
                let lane = encoder.request(id, &request, remaining, &mut out).unwrap();
                let request = received(request);
                let frame = Frame::Request {
                    id,
                    remaining,
                    request,
                };
                written.expect(lane, id, &frame);
            }
            Op::OneWay(request) => {
                let id = call(index);
                let long = request.body().len() > encoder.bulk_above();
                let lane = encoder
                    .one_way(long.then_some(id), &request, &mut out)
                    .unwrap();
                written.expect(lane, id, &Frame::OneWay(received(request)));
            }
            Op::Answer(response) => {
                let id = call_back(index);
                let lane = encoder.response(id, Ok(&response), &mut out).unwrap();
                let response = response.map(|body| match body.encoding() {
                    Encoding::RAW => body,
                    _ => Body::encoded(body.into_bytes(), encoding::BOUND),
                });
                let result = Ok(response);
                written.expect(lane, id, &Frame::Response { id, result });
            }
            Op::Fail(fail) => {
                let id = call_back(index);
                let lane = encoder.response(id, Err(&fail.error()), &mut out).unwrap();
                let result = Err(fail.told());
                written.expect(lane, id, &Frame::Response { id, result });
            }
            Op::Cancel(reason) => {
                // Of a call that is not under way: it is the connection's to keep that.
                let id = call(1_000_000);
                encoder.cancel(id, reason, &mut out);
                written.expect(Lane::Whole, id, &Frame::Cancel { id, reason });
            }
            Op::Ping(nonce) => {
                encoder.ping(nonce, &mut out);
                written.expect(Lane::Whole, call(0), &Frame::Ping(nonce));
            }
            Op::Pong(nonce) => {
                encoder.pong(nonce, &mut out);
                written.expect(Lane::Whole, call(0), &Frame::Pong(nonce));
            }
            Op::GoAway(reason, text) => {
                encoder.go_away(reason, &text, &mut out);
                written.expect(Lane::Whole, call(0), &Frame::GoAway { reason, text });
            }
            Op::Chunk => {
                written.chunk(&mut encoder, &mut out);
            }
        }
    }
    while written.chunk(&mut encoder, &mut out) {}
    written.bytes = out.copy_to_bytes(out.len()).to_vec();
    written
}

/// Reads `bytes` as they come in pieces of these lengths, around and around.
fn read(decoder: &mut NativeDecoder, mut bytes: &[u8], pieces: &[usize]) -> Vec<String> {
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    let mut pieces = pieces.iter().cycle();
    while !bytes.is_empty() {
        let len = (*pieces.next().unwrap()).min(bytes.len());
        input.extend_from_slice(&bytes[..len]);
        bytes = &bytes[len..];
        frames.extend(drain(decoder, &mut input).unwrap().iter().map(show));
    }
    assert!(input.is_empty());
    assert!(decoder.is_between_frames());
    frames
}

fn acceptor() -> NativeDecoder {
    Native::default().split(Role::Acceptor).1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        ops in vec(ops(), 0..20),
        pieces in vec(prop_oneof![1usize..40, 1usize..100_000], 1..10),
    ) {
        let written = write(ops);
        let frames = read(&mut acceptor(), &written.bytes, &pieces);
        prop_assert_eq!(&frames[1..], &written.expected[..]);
    }

    #[test]
    fn what_is_written_is_read_byte_by_byte(ops in vec(ops(), 0..4)) {
        let written = write(ops);
        let frames = read(&mut acceptor(), &written.bytes, &[1]);
        prop_assert_eq!(&frames[1..], &written.expected[..]);
    }

    #[test]
    fn a_changed_stream_is_frames_or_a_violation(
        ops in vec(ops(), 1..10),
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Index>(),
    ) {
        let mut bytes = write(ops).bytes;
        for (at, byte) in changes {
            // Headers stand mostly at the front, so half of the changes fall there.
            let range = if byte & 1 == 0 { bytes.len() } else { bytes.len().min(200) };
            let at = at.index(range);
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = drain(&mut acceptor(), &mut BytesMut::from(&bytes[..]));
    }

    #[test]
    fn any_frames_are_frames_or_a_violation(
        frames in vec(
            (0u8..16, any::<u8>(), 0u16..4, 0u32..8, any::<u32>(), vec(0u8..6, 0..30)),
            0..40,
        ),
        accepting in any::<bool>(),
    ) {
        let role = if accepting { Role::Acceptor } else { Role::Dialer };
        let mut decoder = Native::default().split(role).1;
        let mut input = BytesMut::new();
        let mut out = Out::new(0);
        Native::default().split(role.peer()).0.hello(&mut out);
        input.extend_from_slice(&out.copy_to_bytes(out.len()));
        for (kind, flags, code, id, aux, payload) in frames {
            // The critical flag would end most sequences at once.
            input.extend_from_slice(&frame(kind, flags & 0x7F, code, id, aux, &payload));
            if drain(&mut decoder, &mut input).is_err() {
                break;
            }
        }
    }

    #[test]
    fn any_bytes_behind_the_preface_are_frames_or_a_violation(bytes in vec(any::<u8>(), 0..300)) {
        let mut input = BytesMut::from(&[0x9E, b's', b't', 0xF0, b'\r', b'\n', 1, 1][..]);
        input.extend_from_slice(&bytes);
        let _ = drain(&mut acceptor(), &mut input);
    }
}
