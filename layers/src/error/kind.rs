//! The three answers an [`Error`](super::Error) gives.

use std::fmt;

/// What happened to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The application answered with an error of its own.
    Application,
    /// The caller gave the call up.
    Cancelled,
    /// The owner of this end closed it.
    Closed,
    /// The connection failed, or the peer broke the protocol.
    Connection,
    /// A defect on the side that reports it, a panic included.
    Internal,
    /// The request or the answer cannot be: malformed, over a limit, in the wrong codec.
    Invalid,
    /// A queue or a budget is full.
    Overflow,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// The deadline passed.
    Timeout,
    /// The caller is not known.
    Unauthenticated,
    /// The server cannot serve now: it drains, sheds or is not ready.
    Unavailable,
    /// The server does not know the method.
    Unimplemented,
    /// No server could be reached.
    Unreachable,
}

impl Kind {
    /// All kinds there are.
    pub const ALL: [Self; 13] = [
        Self::Application,
        Self::Cancelled,
        Self::Closed,
        Self::Connection,
        Self::Internal,
        Self::Invalid,
        Self::Overflow,
        Self::PermissionDenied,
        Self::Timeout,
        Self::Unauthenticated,
        Self::Unavailable,
        Self::Unimplemented,
        Self::Unreachable,
    ];

    /// The place of this kind in [`ALL`](Self::ALL), for tables by kind.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "application error",
            Self::Cancelled => "cancelled",
            Self::Closed => "closed",
            Self::Connection => "connection error",
            Self::Internal => "internal error",
            Self::Invalid => "invalid message",
            Self::Overflow => "queue full",
            Self::PermissionDenied => "permission denied",
            Self::Timeout => "deadline exceeded",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable => "unavailable",
            Self::Unimplemented => "unknown method",
            Self::Unreachable => "unreachable",
        })
    }
}

/// Who found out that a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// This process: a layer, a limit, a codec.
    Local,
    /// The peer, in an answer.
    Remote,
    /// The connection between the two.
    Transport,
}

/// How far a failed call got: what a repeat could do twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Execution {
    /// The kernel has not taken the whole of the call's request (on a stream that encrypts or compresses:
    /// the stream has not), so no handler can have seen it.
    NotSent,
    /// The peer says that no handler ran.
    NotStarted,
    /// Nobody can say: the request was handed over and no answer tells its fate.
    MaybeExecuted,
    /// The handler ran to its end.
    Executed,
}

impl Execution {
    /// Whether no handler has run, so that sending the call again can do nothing twice.
    pub fn is_safe_to_repeat(self) -> bool {
        matches!(self, Self::NotSent | Self::NotStarted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_stands_at_its_index() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }
}
