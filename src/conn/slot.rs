//! What is known of one call without an answer.

use super::{clock::Tick, leavings::Leavings, mailbox::Recipient};
use crate::{Body, Encoding, Request};

/// Where the message of a sent call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the bulk lane, or part of it.
    Bulk,
    /// Its last chunk is in output number `batch`, before flat position `end`.
    Chunked {
        /// Outputs are numbered in the order in which they are written.
        batch: u64,
        /// A flat position.
        end: usize,
    },
    /// All of it is in output number `batch`, between two flat positions.
    Output {
        /// As above.
        batch: u64,
        /// Where it begins.
        at: usize,
        /// Where it ends.
        end: usize,
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
    pub(super) stage: Stage,
    /// Who waits for the result, while somebody may.
    pub(super) recipient: Option<Recipient>,
}

/// How far the call in a slot is; the drawing is in [`inflight`](super::inflight).
#[derive(Debug)]
pub(super) enum Stage {
    /// There is none.
    Free {
        /// The next free slot, or the number of slots.
        next: u32,
    },
    /// It waits to be encoded.
    Pending(Box<Request<Body>>),
    /// It waits for its answer.
    Sent,
    /// It has ended, and its answer is owed.
    Orphan,
}

impl Stage {
    /// Leaves the slab with what was in it.
    pub(super) fn leave(self, leavings: &mut Leavings) {
        if let Self::Pending(request) = self {
            leavings.drop_request(request);
        }
    }
}

impl Slot {
    /// Whether this call has still to end.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Pending(_) | Stage::Sent)
    }
}
