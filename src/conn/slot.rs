//! What is known of one call without an answer.

use std::task::Waker;

use super::{clock::Tick, leavings::Leavings};
use crate::{Body, Encoding, Error, Request, Response};

/// Where the message of a sent call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the bulk lane, or part of it.
    Bulk,
    /// The last chunk is in an output; the stream has taken the whole when it has taken `end` bytes.
    Chunked {
        /// Counted from the beginning of the connection.
        end: u64,
    },
    /// In output number `batch`, from flat position `at` on.
    Output {
        /// Outputs are numbered in the order in which they are written.
        batch: u32,
        /// A flat position.
        at: usize,
        /// As above.
        end: u64,
    },
}

/// What is known of a call besides its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The encoding in which the answer comes, unless it is raw.
    pub(super) encoding: Encoding,
    /// When the caller stops waiting.
    pub(super) deadline: Tick,
    /// When the call was made.
    pub(super) since: Tick,
}

/// The place of one call in the slab.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) terms: Terms,
    pub(super) place: Place,
    pub(super) waker: Option<Waker>,
    /// Whether nobody waits although the call is to be made.
    pub(super) detached: bool,
    pub(super) stage: Stage,
}

/// How far the call in a slot is; the drawing is in [`inflight`](super::inflight).
#[derive(Debug)]
pub(super) enum Stage {
    Free {
        next: u32,
    },
    Pending(Box<Request<Body>>),
    Sent,
    Orphan,
    Done {
        result: Result<Response<Body>, Error>,
        owed: bool,
    },
}

impl Stage {
    /// Leaves the slab with what was in it.
    pub(super) fn leave(self, leavings: &mut Leavings) {
        match self {
            Self::Pending(request) => leavings.drop_request(request),
            Self::Done { result, .. } => leavings.drop_result(result),
            Self::Free { .. } | Self::Sent | Self::Orphan => {}
        }
    }
}

impl Slot {
    /// Whether a caller waits for this call.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Pending(_) | Stage::Sent)
    }
}
