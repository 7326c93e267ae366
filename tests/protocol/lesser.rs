//! The native wire, of which something is taken away: its encoder panics if it is asked for that.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use steeple::{
    Error, Request, Response,
    wire::{
        Capabilities, Chunk, Decoder, Encoder, Frame, Hello, Id, Lane, Out, Reason, Role,
        Violation, Wire,
        native::{Native, NativeDecoder, NativeEncoder},
        numbers::preface,
    },
};

use crate::support::{hello, magic};

/// The native wire without something.
#[derive(Clone)]
pub(crate) struct Lesser {
    wire: Native,
    capabilities: Capabilities,
}

pub(crate) struct LesserEncoder {
    inner: NativeEncoder,
    has: Capabilities,
}

pub(crate) struct LesserDecoder {
    inner: NativeDecoder,
}

/// A wire without what is taken away here.
pub(crate) fn without(take_away: impl FnOnce(&mut Capabilities)) -> Lesser {
    let mut capabilities = Capabilities::ALL;
    take_away(&mut capabilities);
    Lesser {
        wire: Native::default(),
        capabilities,
    }
}

impl Wire for Lesser {
    type Encoder = LesserEncoder;
    type Decoder = LesserDecoder;

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn split(self, role: Role) -> (LesserEncoder, LesserDecoder) {
        let has = self.capabilities;
        let (encoder, mut decoder) = self.wire.split(role);
        if !has.hello {
            // As if it had come.
            let mut opening = BytesMut::from(&opening()[..]);
            let frame = decoder.decode(&mut opening).unwrap();
            assert!(matches!(frame, Some(Frame::Hello(_))) && opening.is_empty());
        }
        let encoder = LesserEncoder {
            inner: encoder,
            has,
        };
        (encoder, LesserDecoder { inner: decoder })
    }
}

impl Encoder for LesserEncoder {
    fn hello(&mut self, out: &mut Out) {
        match self.has.hello {
            true => self.inner.hello(out),
            false => self.inner.hello(&mut Out::new(0)),
        }
    }

    fn peer_hello(&mut self, hello: &Hello) {
        self.inner.peer_hello(hello);
    }

    fn bulk_above(&self) -> usize {
        self.inner.bulk_above()
    }

    fn request(
        &mut self,
        id: Id,
        request: &Request,
        remaining: Option<Duration>,
        out: &mut Out,
    ) -> Result<Lane, Error> {
        assert!(self.has.metadata || request.metadata().is_empty());
        assert!(self.has.duplex || id.opener() == Role::Dialer);
        let remaining = remaining.filter(|_| self.has.deadline);
        self.inner.request(id, request, remaining, out)
    }

    fn one_way(&mut self, id: Option<Id>, request: &Request, out: &mut Out) -> Result<Lane, Error> {
        assert!(self.has.one_way);
        self.inner.one_way(id, request, out)
    }

    fn response(
        &mut self,
        id: Id,
        result: Result<&Response, &Error>,
        out: &mut Out,
    ) -> Result<Lane, Error> {
        let plain = result.is_ok_and(|response| response.metadata().is_empty());
        assert!(self.has.metadata || plain || result.is_err());
        self.inner.response(id, result, out)
    }

    fn next_chunk(&mut self, out: &mut Out) -> Option<Chunk> {
        self.inner.next_chunk(out)
    }

    fn drop_bulk(&mut self, id: Id) -> Option<(bool, Bytes)> {
        self.inner.drop_bulk(id)
    }

    fn void(&mut self, at: usize, out: &mut Out) -> Option<Bytes> {
        self.inner.void(at, out)
    }

    fn cancel(&mut self, id: Id, reason: Reason, out: &mut Out) {
        assert!(self.has.cancel);
        self.inner.cancel(id, reason, out);
    }

    fn ping(&mut self, nonce: u32, out: &mut Out) {
        assert!(self.has.ping);
        self.inner.ping(nonce, out);
    }

    fn pong(&mut self, nonce: u32, out: &mut Out) {
        assert!(self.has.ping);
        self.inner.pong(nonce, out);
    }

    fn go_away(&mut self, reason: Reason, text: &str, out: &mut Out) {
        assert!(self.has.drain);
        self.inner.go_away(reason, text, out);
    }
}

impl Decoder for LesserDecoder {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
        self.inner.decode(input)
    }

    fn frames(&self) -> u64 {
        self.inner.frames()
    }

    fn unfinished(&self) -> Option<u64> {
        self.inner.unfinished()
    }

    fn is_between_frames(&self) -> bool {
        self.inner.is_between_frames()
    }
}

/// What a peer of the native wire says first.
pub(crate) fn opening() -> Vec<u8> {
    let magic = magic(preface::MAX_VERSION, preface::MIN_VERSION);
    [&magic[..], &hello().encode()].concat()
}
