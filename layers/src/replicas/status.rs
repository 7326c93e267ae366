//! What a replica set tells of its endpoints.

use std::fmt;

use tokio::time::Instant;

use super::Member;
use crate::Error;

/// Where an endpoint is in its life; the module has the [drawing](super#the-life-of-an-endpoint).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not connected, since nobody calls.
    Idle,
    /// A dial or a handshake is under way.
    Connecting,
    /// It is called.
    Live,
    /// It is connected and not called, since its health check fails.
    Unhealthy,
    /// It is connected and not called, since its calls failed.
    Ejected,
    /// As ejected, but the next call is tried on it.
    Probing,
    /// The last dial or connection failed; the next dial comes after a while.
    Waiting,
    /// It is listed no more; calls under way end.
    Draining,
    /// Too many dials failed; there will be none until it is listed anew.
    GivenUp,
}

/// One endpoint, as it was when this was asked for.
#[derive(Clone, Debug)]
pub struct Status {
    pub(super) member: Member,
    pub(super) state: State,
    pub(super) since: Instant,
    pub(super) reason: Option<Error>,
}

impl Status {
    /// Where it is, as text.
    pub fn address(&self) -> &str {
        self.member.address()
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why it is not live: the last error of a dial, a connection, a call or a health check.
    pub fn reason(&self) -> Option<&Error> {
        self.reason.as_ref()
    }

    /// How many calls are under way.
    pub fn pending(&self) -> usize {
        self.member.pending()
    }

    /// How it does: latency, failures, attributes.
    pub fn member(&self) -> &Member {
        &self.member
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Probing => "probing",
            Self::Waiting => "waiting",
            Self::Draining => "draining",
            Self::GivenUp => "given up",
        })
    }
}
