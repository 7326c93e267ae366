//! What the tests of the wire share.

use std::fmt::Write;

use bytes::{Buf, BytesMut};
use steeple::{
    Body, Encoding, Error, Method, Request,
    wire::{
        Decoder, Encoder, Frame, Id, Out, Role, Violation, Wire,
        native::{Limits, Native, NativeDecoder, NativeEncoder},
        numbers::encoding,
    },
};

/// One direction of a connection: the side that dialled writes, the one that accepted reads.
pub(crate) struct Line {
    pub(crate) encoder: NativeEncoder,
    pub(crate) decoder: NativeDecoder,
    pub(crate) out: Out,
}

impl Line {
    /// A line on which HELLO has been written and read.
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    /// The same, to a reader with these limits.
    pub(crate) fn with(limits: Limits) -> Self {
        let mut line = Self {
            encoder: Native::default().split(Role::Dialer).0,
            decoder: Native::new(limits).split(Role::Acceptor).1,
            out: Out::new(1024),
        };
        line.encoder.hello(&mut line.out);
        let frames = line.read();
        assert!(matches!(&frames[..], [Frame::Hello(_)]));
        line
    }

    /// Writes a request that must be valid.
    pub(crate) fn request(&mut self, index: u32, request: &Request) {
        self.encoder
            .request(call(index), request, None, &mut self.out)
            .unwrap();
    }

    /// Reads everything that was written.
    pub(crate) fn read(&mut self) -> Vec<Frame> {
        let bytes = self.take();
        self.feed(&bytes).unwrap()
    }

    /// What was written, which is then gone.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let bytes = self.out.copy_to_bytes(self.out.len()).to_vec();
        self.out.clear(0);
        bytes
    }

    /// Lets the reader read these bytes to their end.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Violation> {
        let mut input = BytesMut::from(bytes);
        let frames = drain(&mut self.decoder, &mut input)?;
        assert!(input.is_empty(), "{} bytes are left", input.len());
        Ok(frames)
    }

    /// The text of the violation that these bytes are.
    pub(crate) fn violation(&mut self, bytes: &[u8]) -> String {
        self.feed(bytes).unwrap_err().to_string()
    }
}

/// All frames at the front of `input`.
pub(crate) fn drain(
    decoder: &mut NativeDecoder,
    input: &mut BytesMut,
) -> Result<Vec<Frame>, Violation> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode(input)? {
        frames.push(frame);
    }
    Ok(frames)
}

/// The id of a call of the side that dialled.
pub(crate) const fn call(index: u32) -> Id {
    Id::new(Role::Dialer, index)
}

/// The id of a call of the side that accepted.
pub(crate) const fn call_back(index: u32) -> Id {
    Id::new(Role::Acceptor, index)
}

/// A request in JSON.
pub(crate) fn json(method: impl Into<Method>, body: impl Into<Vec<u8>>) -> Request {
    let body: Vec<u8> = body.into();
    Request::new(method, Body::encoded(body.into(), encoding::JSON))
}

/// A frame by hand.
pub(crate) fn frame(kind: u8, flags: u8, code: u16, id: u32, aux: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(code.to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(aux.to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// The error of a frame that refuses a request.
pub(crate) fn refused(frames: Vec<Frame>) -> (Id, Error) {
    match one(frames) {
        Frame::Refused { id, error } => (id, error),
        other => panic!("{other:?} is no refusal"),
    }
}

/// The error of a frame that is a failed answer.
pub(crate) fn failed(frames: Vec<Frame>) -> (Id, Error) {
    match one(frames) {
        Frame::Response {
            id,
            result: Err(error),
        } => (id, error),
        other => panic!("{other:?} is no failure"),
    }
}

/// The only frame.
pub(crate) fn one(mut frames: Vec<Frame>) -> Frame {
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}

/// Everything that a frame says, for comparison.
pub(crate) fn show(frame: &Frame) -> String {
    match frame {
        Frame::Request {
            id,
            remaining,
            request,
        } => format!("request {id:?} {remaining:?} {}", show_request(request)),
        Frame::OneWay(request) => format!("one way {}", show_request(request)),
        Frame::Response {
            id,
            result: Ok(response),
        } => {
            let body = show_body(response.body().as_bytes(), response.body().encoding());
            format!("answer {id:?} {body} {:?}", response.metadata())
        }
        other => format!("{other:?}"),
    }
}

/// Everything that travels with a request.
pub(crate) fn show_request(request: &Request) -> String {
    let mut text = show_body(request.body().as_bytes(), request.body().encoding());
    let (cx, metadata) = (request.cx(), request.metadata());
    let (method, attempt) = (request.method(), cx.attempt());
    let bound = request.encoding();
    write!(text, " {method:?} {bound:?} {attempt} {metadata:?}").unwrap();
    text
}

/// A body: its bytes, or their number and sum if they are many.
pub(crate) fn show_body(bytes: &[u8], encoding: Encoding) -> String {
    if bytes.len() < 100 {
        return format!("{bytes:?} {encoding:?}");
    }
    let sum = bytes.iter().fold(0u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("{} bytes, {sum:x}, {encoding:?}", bytes.len())
}
