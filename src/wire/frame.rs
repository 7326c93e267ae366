//! What a wire tells the connection, in words that no wire owns.

use std::{borrow::Cow, fmt, time::Duration};

use crate::{Body, BodyCompression, Encoding, Error, Request, Response};

/// One event read from a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Frame {
    /// The peer offers to compress the stream, which this side does not, and waits to hear so: from
    /// [`Encoder::preface`](super::Encoder::preface).
    Offer,
    /// The peer opened its direction and told its limits. The first frame of a wire that has one.
    Hello(Hello),
    /// A whole request, to be answered exactly once.
    Request {
        /// The peer's id for it.
        id: Id,
        /// The time that remains until the caller's deadline.
        remaining: Option<Duration>,
        /// The request, without a deadline and without its connection.
        request: Request<Body>,
    },
    /// A request that must not run; to be answered with this error.
    Refused {
        /// The peer's id for it.
        id: Id,
        /// Why. Its execution is [`NotStarted`](crate::Execution::NotStarted).
        error: Error,
    },
    /// A message without an answer.
    OneWay(Request<Body>),
    /// The answer to a request of this side, its last byte included. An error has origin
    /// [`Remote`](crate::Origin::Remote), or [`Local`](crate::Origin::Local) if the answer could not be taken.
    ///
    /// A body and details that are not raw are marked [`BOUND`](super::numbers::encoding::BOUND) where the
    /// wire does not say their encoding: it is the one of the request.
    Response {
        /// This side's id for the request.
        id: Id,
        /// What the peer answered.
        result: Result<Response<Body>, Error>,
    },
    /// The peer takes a request back; it is still owed an answer.
    Cancel {
        /// The peer's id for the request.
        id: Id,
        /// Why.
        reason: Reason,
    },
    /// The peer asks whether this side is there.
    Ping(u32),
    /// The peer is there.
    Pong(u32),
    /// The peer stops, or acknowledges that this side does.
    GoAway {
        /// Why; [`Reason::Ack`] is the acknowledgement.
        reason: Reason,
        /// Text for a person.
        text: String,
    },
}

/// What a peer says of itself when it opens its direction. A limit below the wire's floor counts as the floor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// The longest frame that it takes, in bytes.
    pub max_frame: u32,
    /// The longest message that it takes, in bytes.
    pub max_message: u64,
    /// How many requests it takes before it has answered the first.
    pub max_calls: u32,
    /// How many methods it binds to a number.
    pub max_bindings: u16,
    /// The encodings that it serves; empty if it did not say.
    pub encodings: Vec<Encoding>,
    /// The compressions of single bodies that it decodes, as far as they are known here.
    pub compressions: Vec<BodyCompression>,
    /// What it calls itself.
    pub agent: String,
}

/// Names a call on its connection. Receivers treat an id of the peer as opaque, apart from who opened it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u32);

impl Id {
    /// The id number `index` of the calls that `opener` opens. Not zero for either role if `index` is not.
    ///
    /// # Panics
    /// If `index` needs more than 31 bits.
    pub const fn new(opener: Role, index: u32) -> Self {
        assert!(index < 1 << 31, "an id has 31 bits of index");
        Self(index << 1 | opener as u32)
    }

    /// The id as it stands on the native wire.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The id as it stands on the native wire.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The number among its opener's.
    pub const fn index(self) -> u32 {
        self.0 >> 1
    }

    /// Who opened the call.
    pub const fn opener(self) -> Role {
        if self.0 & 1 == 0 {
            Role::Dialer
        } else {
            Role::Acceptor
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}#{}", self.opener(), self.index())
    }
}

/// Which end of a connection a side is. Both may open calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The side that connected.
    Dialer = 0,
    /// The side that accepted.
    Acceptor = 1,
}

impl Role {
    /// The other side.
    pub const fn peer(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }
}

/// Why a call was taken back, or why a side stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The other side's going away was read; no new request follows.
    Ack,
    /// Nobody waits for the answer any more.
    Dropped,
    /// The connection was idle for too long.
    Idle,
    /// A limit was passed.
    Limit,
    /// At once: answers still owed will not come.
    Now,
    /// The peer broke the protocol.
    Protocol,
    /// The connection is not wanted, and nothing on it was looked at.
    Refused,
    /// The side drains: it finishes what it has.
    Shutdown,
    /// A deadline passed.
    Timeout,
    /// The two have no version in common.
    Version,
    /// A reason of a later version.
    Other(u16),
}

/// The peer broke the protocol: the connection is told why and closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    reason: Reason,
    text: Cow<'static, str>,
}

impl Violation {
    /// A violation of the protocol.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: Reason::Protocol,
            text: text.into(),
        }
    }

    /// The same violation, for another reason.
    #[must_use]
    pub fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }

    /// What the peer is told.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Violation {}
