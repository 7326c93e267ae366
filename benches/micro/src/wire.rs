//! Frames of the native wire, without a connection.

use std::hint::black_box;

use bytes::{Buf, BytesMut};
use steeple::wire::native::{Native, NativeDecoder, NativeEncoder};
use steeple::wire::{Decoder, Encoder, Id, Out, Role, Wire};
use steeple::{Body, Request, Response};

/// Bodies shorter than this are copied into the output, as on a connection.
const FLATTEN_BELOW: usize = 8 * 1024;
/// The body of every message.
const BODY: [u8; 64] = [0x5a; 64];

/// A side that writes.
pub(crate) struct Sent {
    encoder: NativeEncoder,
    out: Out,
    request: Request,
    response: Response,
}

impl Sent {
    pub(crate) fn new() -> Self {
        Self::by(Role::Dialer)
    }

    fn by(role: Role) -> Self {
        let mut sent = Self {
            encoder: Native::default().split(role).0,
            out: Out::new(FLATTEN_BELOW),
            request: Request::new("Echo", Body::from(BODY.as_slice().to_vec())),
            response: Response::new(Body::from(BODY.as_slice().to_vec())),
        };
        sent.encoder.hello(&mut sent.out);
        sent
    }

    /// Writes requests, and forgets them.
    pub(crate) fn requests(&mut self, count: usize) {
        self.put_requests(count);
        self.forget();
    }

    /// Writes answers, and forgets them.
    pub(crate) fn responses(&mut self, count: usize) {
        self.put_responses(count);
        self.forget();
    }

    fn put_requests(&mut self, count: usize) {
        for id in ids(count) {
            let lane = self.encoder.request(id, &self.request, None, &mut self.out);
            lane.expect("a short request");
        }
    }

    fn put_responses(&mut self, count: usize) {
        for id in ids(count) {
            let lane = self.encoder.response(id, Ok(&self.response), &mut self.out);
            lane.expect("a short answer");
        }
    }

    fn forget(&mut self) {
        black_box(&self.out);
        self.out.clear(usize::MAX);
    }
}

/// A side that reads the same bytes again and again.
pub(crate) struct Received {
    decoder: NativeDecoder,
    bytes: BytesMut,
    count: usize,
}

impl Received {
    /// At the side that accepted.
    pub(crate) fn requests(count: usize) -> Self {
        Self::of(Role::Acceptor, count, Sent::put_requests)
    }

    /// At the side that dialled.
    pub(crate) fn responses(count: usize) -> Self {
        Self::of(Role::Dialer, count, Sent::put_responses)
    }

    fn of(role: Role, count: usize, put: fn(&mut Sent, usize)) -> Self {
        let mut received = Self {
            decoder: Native::default().split(role).1,
            bytes: BytesMut::new(),
            count: 1,
        };
        let mut sent = Sent::by(role.peer());
        received.take(&mut sent.out);
        received.decode();
        // The first request also binds its method, which can be read only once.
        put(&mut sent, 1);
        received.take(&mut sent.out);
        received.decode();
        put(&mut sent, count);
        received.take(&mut sent.out);
        received.count = count;
        received
    }

    /// Reads all frames.
    pub(crate) fn decode(&mut self) {
        let mut input = self.bytes.clone();
        let mut frames = 0;
        while let Some(frame) = self.decoder.decode(&mut input).expect("our own frames") {
            black_box(&frame);
            frames += 1;
        }
        assert_eq!(frames, self.count);
    }

    fn take(&mut self, out: &mut Out) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&out.copy_to_bytes(out.len()));
        out.clear(usize::MAX);
    }
}

/// Ids as a client gives them.
fn ids(count: usize) -> impl Iterator<Item = Id> {
    (1..=count as u32).map(|index| Id::new(Role::Dialer, index))
}
