//! Why a message is not taken.

use std::fmt;

use crate::{Encoding, Error, Kind, wire::numbers::limit::MAX_OPEN};

use super::{head::Sort, meta::Wrong};

/// Why a message is not taken, in few bytes and without an allocation: that of an answer is kept until the last
/// byte of it has come, and there may be many such.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// Nothing is left of `max_assembly`, which is this.
    Assembly(usize),
    /// Nothing is left of `assembly_budget`, which is this.
    Budget(usize),
    /// The metadata cannot be read.
    Metadata(Wrong),
    /// The metadata should have the deadline.
    NoDeadline,
    /// The metadata should have the method.
    NoMethod,
    /// The number of the method is not bound.
    NotBound(u16),
    /// Nothing is served in this encoding.
    NotServed(Encoding),
    /// As many messages are under way as may be.
    Open,
    /// The body is longer than `max_message`.
    TooLong { len: u64, max: u64 },
    /// It needs what this version does not have.
    Unsupported(&'static str),
}

impl Refusal {
    /// What is told of a message of this sort.
    pub(super) fn error(self, sort: Sort) -> Error {
        let kind = match self {
            Self::Assembly(_) | Self::Budget(_) | Self::Open => Kind::Overflow,
            // Too long a request may fit elsewhere, too long an answer will be so again.
            Self::TooLong { .. } if sort != Sort::Response => Kind::Overflow,
            Self::Unsupported(_) if sort != Sort::Response => Kind::Unimplemented,
            _ => Kind::Invalid,
        };
        sort.refusal(kind, self.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assembly(max) => write!(
                f,
                "the connection's unfinished messages exceed max_assembly ({max})"
            ),
            Self::Budget(max) => {
                write!(f, "unfinished messages exceed assembly_budget ({max})")
            }
            Self::Metadata(wrong) => wrong.fmt(f),
            Self::NoDeadline => f.write_str("the deadline should be in the metadata and is not"),
            Self::NoMethod => {
                f.write_str("a message with method number 0 has no method in its metadata")
            }
            Self::NotBound(number) => write!(f, "method number {number} is not bound"),
            Self::NotServed(encoding) => {
                write!(f, "encoding {} is not served here", encoding.number())
            }
            Self::Open => write!(f, "more than {MAX_OPEN} messages are under way"),
            Self::TooLong { len, max } => {
                write!(f, "a body of {len} bytes exceeds max_message ({max})")
            }
            Self::Unsupported(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_three_words() {
        assert_eq!(size_of::<Option<Refusal>>(), 3 * size_of::<u64>());
    }
}
