//! Bytes ⇄ frames: what a connection needs of a protocol.
//!
//! A [`Wire`] splits into two halves that never meet again: the [`Encoder`] lives under the lock of a
//! connection's outbox, where callers encode straight into it; the [`Decoder`] lives in the task that owns
//! the socket. Neither knows a socket, a clock or a runtime: bytes go in and out by value, and time is a
//! duration that the connection has already computed.
//!
//! ```text
//!   Request, Response, control           Frame
//!            │                             ▲
//!   ┌────────▼────────┐           ┌────────┴────────┐
//!   │     Encoder     │           │     Decoder     │
//!   └────────┬────────┘           └────────▲────────┘
//!            ▼                             │
//!        Out (bytes, slices)           BytesMut
//! ```
//!
//! What a wire cannot carry it says in its [`Capabilities`]; the connection degrades in a way that its
//! user can see. [`native`] is the wire of this crate; its module documentation is its specification.

mod budget;
pub mod compression;
mod frame;
pub mod native;
pub mod numbers;
mod out;

use std::time::Duration;

use bytes::{Bytes, BytesMut};

pub use self::{
    budget::Budget,
    frame::{Frame, Hello, Id, Reason, Role, Violation},
    out::Out,
};
use crate::{Body, Error, Request, Response};

/// A protocol, before it is put on a connection.
pub trait Wire: Send + 'static {
    /// The half that writes.
    type Encoder: Encoder + 'static;
    /// The half that reads.
    type Decoder: Decoder + 'static;

    /// What this wire can carry.
    fn capabilities(&self) -> Capabilities;

    /// The two halves, for one connection on which this side has `role`.
    fn split(self, role: Role) -> (Self::Encoder, Self::Decoder);
}

/// What a wire can carry. A call that needs more degrades: a deadline is then kept on this side only, a
/// cancelled call runs to its end over there, metadata is refused. What an [`Encoder`] has for the rest is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The time that remains travels with a request.
    pub deadline: bool,
    /// A call can be taken back after it was sent.
    pub cancel: bool,
    /// Metadata travels in both directions.
    pub metadata: bool,
    /// Messages without an answer.
    pub one_way: bool,
    /// Either side opens calls.
    pub duplex: bool,
    /// Each side opens its direction with a [`Frame::Hello`]. Without one a connection is open at once.
    pub hello: bool,
    /// A side that stops can say so, and is told when the other has read it. Without it a side that drains ends
    /// when nothing of it is under way, and one that gives up closes the stream without a word.
    pub drain: bool,
    /// Liveness can be asked for. Without it a silent peer is found by other limits, if any, and a long body goes out
    /// as fast as the stream takes it.
    pub ping: bool,
}

impl Capabilities {
    /// Everything.
    pub const ALL: Self = Self {
        deadline: true,
        cancel: true,
        metadata: true,
        one_way: true,
        duplex: true,
        hello: true,
        drain: true,
        ping: true,
    };
}

/// In which lane a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// All of it is in the output.
    Whole,
    /// It goes out in chunks, by [`Encoder::next_chunk`], behind everything whole.
    Bulk,
}

/// A chunk that [`Encoder::next_chunk`] has put into the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The message that it is a part of.
    pub id: Id,
    /// Whether it was the last of its message.
    pub last: bool,
}

/// Writes messages and control frames into an [`Out`].
///
/// Object-safe, so that a connection's handle needs no parameter for its wire. A method that returns an
/// error has written nothing of that message, and the connection is as good as before.
pub trait Encoder: Send {
    /// Opens this direction: whatever comes before the first message. Called once; on the accepting side
    /// only after the peer's opening was read.
    fn hello(&mut self, out: &mut Out);

    /// Writes what stands before [`hello`](Self::hello) ahead of it, for a peer that waits for that: it has made a
    /// [`Frame::Offer`].
    fn preface(&mut self, _out: &mut Out) {}

    /// Takes note of what the peer said of its limits.
    fn peer_hello(&mut self, hello: &Hello);

    /// The longest body, in bytes, that is written in one piece; a longer one goes by the bulk lane.
    fn bulk_above(&self) -> usize;

    /// A request of this side, of which `remaining` is left until its deadline.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid), not sent, naming the limit: a method name, metadata or a body
    /// too large for the wire or the peer.
    fn request(
        &mut self,
        id: Id,
        request: &Request<Body>,
        remaining: Option<Duration>,
        out: &mut Out,
    ) -> Result<Lane, Error>;

    /// A message without an answer. It has an id if and only if its body is longer than
    /// [`bulk_above`](Self::bulk_above).
    ///
    /// # Errors
    /// As [`request`](Self::request).
    fn one_way(
        &mut self,
        id: Option<Id>,
        request: &Request<Body>,
        out: &mut Out,
    ) -> Result<Lane, Error>;

    /// The one answer to a request of the peer. The connection has made sure that a body that is not raw
    /// is in the encoding that the request asked for.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid), executed, naming the limit; the connection answers with that
    /// error instead. An error answer that is too large is shortened, so it never fails.
    fn response(
        &mut self,
        id: Id,
        result: Result<&Response<Body>, &Error>,
        out: &mut Out,
    ) -> Result<Lane, Error>;

    /// Puts the next chunk of the bulk lane into `out`: round-robin over the messages in it. `None` if the
    /// lane is empty.
    fn next_chunk(&mut self, out: &mut Out) -> Option<Chunk>;

    /// Takes a message out of the bulk lane. `None` if it is not there, otherwise whether any of it was
    /// ever put into an output – the peer is then owed a [`cancel`](Self::cancel) – and its body, to be dropped
    /// past the lock.
    fn drop_bulk(&mut self, id: Id) -> Option<(bool, Bytes)>;

    /// Turns the whole message that begins at flat position `at` of `out` into something the peer skips, and gives
    /// its body, to be dropped past the lock; an empty one if the body was copied. `None` if this wire has no such
    /// thing; the message then goes out.
    fn void(&mut self, at: usize, out: &mut Out) -> Option<Bytes>;

    /// Takes a call of this side back, or ends a chunked answer of this side that is under way.
    fn cancel(&mut self, id: Id, reason: Reason, out: &mut Out);

    /// Asks whether the peer is there.
    fn ping(&mut self, nonce: u32, out: &mut Out);

    /// Answers a ping.
    fn pong(&mut self, nonce: u32, out: &mut Out);

    /// Says that this side stops, or, with [`Reason::Ack`], that it has read that the other does. Legal
    /// before [`hello`](Self::hello): a refusal with a reason.
    fn go_away(&mut self, reason: Reason, text: &str, out: &mut Out);
}

/// Reads frames out of received bytes.
pub trait Decoder: Send {
    /// The next frame, or `None` if more bytes are needed. Takes what it has used from the front of `input`; what
    /// it leaves is to be there the next time, with more behind it.
    ///
    /// Total: any bytes give a frame, `None` or a [`Violation`], after which the connection is closed and
    /// the decoder not used again. Nothing is allocated from a length that the peer only announced.
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Violation>;

    /// Room for more of a long body that this decoder is in the middle of, if bytes that are read should go
    /// there instead of through `input`, where they would have to be copied. To be asked when `input` is empty.
    ///
    /// The room is the spare capacity of the vector; as many bytes as the number says may be read into it, and
    /// [`took`](Self::took) is then told how many were. They may go past what is of the body.
    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        None
    }

    /// Bytes were read into the [`room`](Self::room). Those that are not of the body go to `input`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn took(&mut self, bytes: usize, input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
        let _ = (bytes, input);
        Ok(None)
    }

    /// Gives memory back that is kept for what may come: nothing has come for a while.
    fn shrink(&mut self) {}

    /// How many frames of the wire were read to their ends, those included that gave no [`Frame`]: the
    /// measure of a peer that sends, however slowly, against one that only drips.
    fn frames(&self) -> u64;

    /// How many bytes of messages in parts have ever come, if one of them is unfinished: also if it is refused and
    /// the rest of it thrown away.
    fn unfinished(&self) -> Option<u64>;

    /// Whether the bytes taken so far end between two frames.
    fn is_between_frames(&self) -> bool;
}
