//! The native wire as a `tokio_util` codec, to frame a stream of one's own. It is behind the feature `codec`,
//! and has nothing to do with the module [`codec`](crate::codec), which encodes values.
//!
//! For tools and tests that speak frames rather than calls: a proxy, a probe, a peer that misbehaves. A
//! connection does not use it.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio_util::codec;

use crate::wire::{
    Decoder as _, Encoder as _, Frame, Id, Lane, Out, Role, Wire,
    native::{Native, NativeDecoder, NativeEncoder},
};

/// Frames of the native wire on a stream.
///
/// ```
/// use steeple::{transport::framed::NativeCodec, wire::{Role, native::Native}};
/// use tokio_util::codec::Framed;
///
/// let (stream, _peer) = tokio::io::duplex(4096);
/// let frames = Framed::new(stream, NativeCodec::new(Native::default(), Role::Dialer));
/// ```
///
/// What one side sends is what the other receives, with these differences: the opening goes out by itself
/// before the first frame, with the limits of this codec; a [`Frame::Refused`] arrives as the failed
/// [`Frame::Response`] that it is. The side that accepts sends nothing before it has received
/// [`Frame::Hello`], or a [`Frame::GoAway`].
///
/// The body of a peer's message may be compressed, and [`decompress`](crate::wire::compression::decompress) makes it plain.
/// Without that, [`Limits::compressions`](crate::wire::native::Limits::compressions) tells the peer to send none.
///
/// A long message is written in one go: there is no second lane. One-way messages take the id with the
/// highest index for that, so a request must not.
#[derive(Debug)]
pub struct NativeCodec {
    encoder: NativeEncoder,
    decoder: NativeDecoder,
    out: Out,
    role: Role,
    opened: bool,
}

/// The index of the id of long one-way messages.
const ONE_WAY: u32 = (1 << 31) - 1;

/// How much memory is kept between two frames: as much as a whole one needs.
const KEEP: usize = 64 * 1024;

impl NativeCodec {
    /// A codec for one stream on which this side has `role`.
    pub fn new(wire: Native, role: Role) -> Self {
        let (encoder, decoder) = wire.split(role);
        Self {
            encoder,
            decoder,
            // Everything ends in one buffer, so nothing is gained by keeping a body apart.
            out: Out::new(usize::MAX),
            role,
            opened: false,
        }
    }

    /// Writes a frame into the output; whether it goes by the bulk lane.
    fn write(&mut self, frame: &Frame) -> Result<Lane, crate::Error> {
        let (encoder, out) = (&mut self.encoder, &mut self.out);
        match frame {
            Frame::Hello(_) | Frame::Offer => {}
            Frame::Request {
                id,
                remaining,
                request,
            } => return encoder.request(*id, request, *remaining, out),
            Frame::Refused { id, error } => return encoder.response(*id, Err(error), out),
            Frame::Response { id, result } => return encoder.response(*id, result.as_ref(), out),
            Frame::OneWay(request) => {
                let long = request.body().len() > encoder.bulk_above();
                let id = long.then_some(Id::new(self.role, ONE_WAY));
                return encoder.one_way(id, request, out);
            }
            Frame::Cancel { id, reason } => encoder.cancel(*id, *reason, out),
            Frame::Ping(nonce) => encoder.ping(*nonce, out),
            Frame::Pong(nonce) => encoder.pong(*nonce, out),
            Frame::GoAway { reason, text } => encoder.go_away(*reason, text, out),
        }
        Ok(Lane::Whole)
    }
}

impl codec::Encoder<Frame> for NativeCodec {
    type Error = io::Error;

    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a message that cannot be, naming the limit. Nothing of it is
    /// written, and the stream is as good as before.
    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> io::Result<()> {
        // Only a farewell may come before the opening.
        if !self.opened && !matches!(frame, Frame::GoAway { .. }) {
            self.opened = true;
            self.encoder.hello(&mut self.out);
        }
        let written = self.write(&frame);
        while self.encoder.next_chunk(&mut self.out).is_some() {}
        dst.reserve(self.out.len());
        dst.put(&mut self.out);
        self.out.clear(KEEP);
        written
            .map(drop)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

impl codec::Decoder for NativeCodec {
    type Item = Frame;
    type Error = io::Error;

    /// # Errors
    /// [`io::ErrorKind::InvalidData`] with the [`Violation`](crate::wire::Violation) inside, after which
    /// the stream is of no use.
    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<Frame>> {
        let frame = self
            .decoder
            .decode(src)
            .map_err(|violation| io::Error::new(io::ErrorKind::InvalidData, violation))?;
        if let Some(Frame::Hello(hello)) = &frame {
            self.encoder.peer_hello(hello);
        }
        Ok(frame)
    }

    /// # Errors
    /// As [`decode`](codec::Decoder::decode), and [`io::ErrorKind::UnexpectedEof`] if the stream ends within a frame.
    fn decode_eof(&mut self, src: &mut BytesMut) -> io::Result<Option<Frame>> {
        match self.decode(src)? {
            None if src.has_remaining() || !self.decoder.is_between_frames() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            frame => Ok(frame),
        }
    }
}
