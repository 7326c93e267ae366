//! What the driver does with an outbox.

use steeple_layers::moment::Moment;

use super::{
    super::{
        answer::Answer,
        cause::Cause,
        inflight::{Ending, Met},
        job::Reply,
        leavings::Leavings,
        slot::Place,
        window::Window,
    },
    Outbox, Phase,
};
use crate::{
    Error,
    wire::{Chunk, Encoder, Id, Lane, Out, Reason},
};

/// Memory that an idle connection keeps for its output, in bytes.
const KEPT: usize = 1024;

/// How much of a call could be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retracted {
    /// All of it: nothing goes out, and no answer is owed.
    Gone,
    /// Enough of it: the peer gets a part and is told that no more comes.
    Stopped,
    /// Nothing.
    Sent,
}

impl Outbox {
    /// Whether there is something to write now.
    pub(in super::super) fn has_output(&self) -> bool {
        !self.out.is_empty() || self.is_chunking() && self.is_window_open()
    }

    /// Whether messages are on their way in chunks.
    pub(in super::super) fn is_chunking(&self) -> bool {
        self.bulk_requests > 0 || !self.bulk_answers.is_empty()
    }

    /// How many bytes are ready to be written.
    pub(in super::super) fn output_len(&self) -> usize {
        self.out.len()
    }

    /// Exchanges the output, with one chunk of the bulk lane behind it, for an empty one.
    pub(in super::super) fn swap(&mut self, empty: &mut Out, now: Moment) {
        debug_assert!(empty.is_empty());
        let open = !matches!(self.phase, Phase::Closed(_));
        if open && self.is_window_open() {
            self.put_chunk(now);
        }
        std::mem::swap(&mut self.out, empty);
        self.batch += 1;
        self.reflex_bytes = 0;
    }

    /// The peer has read the chunks before a mark.
    pub(in super::super) fn read_to(&mut self, mark: u32, now: Moment) {
        if let Some(window) = &mut self.window {
            window.read(mark, now);
        }
    }

    /// Requests of the peer that were answered by tasks.
    pub(in super::super) fn drain_finished(&mut self) -> impl Iterator<Item = Reply> {
        self.finished.drain(..)
    }

    /// Whether requests are on their way in chunks, so that the last of this side is not out yet.
    pub(in super::super) fn is_chunking_requests(&self) -> bool {
        self.bulk_requests > 0
    }

    /// Control frames go straight to the encoder.
    pub(in super::super) fn control(&mut self, write: impl FnOnce(&mut dyn Encoder, &mut Out)) {
        write(&mut *self.encoder, &mut self.out);
    }

    /// Ends the call that the peer has answered, and says who waits for that.
    pub(in super::super) fn answered(&mut self, answer: &mut Answer, leavings: &mut Leavings) {
        let id = answer.id;
        match self.calls.answer(answer) {
            Met::Call { sending } => {
                let outcome = answer.result.as_ref().map(drop).map_err(Error::kind);
                self.stats.calls.count(outcome);
                // An early answer: the peer does not want the rest, and the id must not be used before it
                // knows that no more comes.
                if sending && self.drop_bulk(id, leavings) == Some(true) {
                    self.encoder.cancel(id, Reason::Dropped, &mut self.out);
                }
            }
            Met::Late | Met::Nothing => self.stats.late_answers += 1,
        }
    }

    /// Ends everything. If the stream is still `usable`, what is left goes out but for the calls that can be
    /// taken out of it; if not, what the stream has not taken was not sent.
    pub(in super::super) fn close(
        &mut self,
        cause: Cause,
        writing: &Out,
        usable: bool,
        leavings: &mut Leavings,
    ) {
        let mut from = 0;
        while let Some((index, ending)) = self.calls.next_unfinished(from) {
            from = index + 1;
            let sent = match usable {
                true => self.retract(ending, Reason::Now, leavings) == Retracted::Sent,
                false => self.is_taken(ending, writing),
            };
            if let Ending::Sent(id, Place::Bulk) = ending {
                self.drop_bulk(id, leavings);
            }
            let error = cause.error(sent);
            self.stats.calls.count(Err(error.kind()));
            self.calls.fail(index, error, leavings);
        }
        // No further chunk goes out: nothing is to hold what they were cut from.
        for id in self.bulk_one_ways.drain().chain(self.bulk_answers.drain()) {
            if let Some((_, body)) = self.encoder.drop_bulk(id) {
                leavings.drop_body(body);
            }
        }
        self.bulk_requests = 0;
        self.calls.forgive_all();
        self.pending.clear();
        self.phase = Phase::Closed(cause);
    }

    /// Takes away the output that the driver has not taken, unless this direction opens with it. Returns it, to be
    /// dropped past the lock.
    pub(in super::super) fn discard(&mut self) -> Out {
        match self.opening < self.batch {
            true => std::mem::take(&mut self.out),
            false => Out::default(),
        }
    }

    /// Gives back memory that an idle connection does not need.
    pub(in super::super) fn shrink(&mut self) {
        if self.calls.pending() == 0 {
            // Whatever is in it has ended, and must not name slots that are gone.
            self.pending = Default::default();
        }
        self.calls.shrink();
        if self.out.is_empty() {
            self.out.clear(KEPT);
        }
    }

    /// Gives all memory back when the stream is gone: who still has a handle of the connection is to hold no more
    /// than that. Returns what was not written, to be dropped past the lock.
    pub(in super::super) fn release(&mut self) -> Out {
        self.shrink();
        std::mem::take(&mut self.out)
    }

    /// Takes a call out of what is not written yet, or tells the peer to forget it.
    ///
    /// What the driver has taken is out of reach, also where the stream has not: a stream that encrypts may
    /// already have made its own of what it was offered, and must be offered the same again.
    pub(super) fn retract(
        &mut self,
        ending: Ending,
        reason: Reason,
        leavings: &mut Leavings,
    ) -> Retracted {
        let Ending::Sent(id, place) = ending else {
            return Retracted::Gone;
        };
        let retracted = match place {
            Place::Bulk => match self.drop_bulk(id, leavings) {
                Some(true) => Retracted::Stopped,
                _ => Retracted::Gone,
            },
            Place::Chunked { .. } => Retracted::Sent,
            Place::Output { batch, at, .. } if batch == self.batch => {
                match self.encoder.void(at, &mut self.out) {
                    Some(body) => {
                        if !body.is_empty() {
                            leavings.drop_body(body);
                        }
                        Retracted::Gone
                    }
                    None => Retracted::Sent,
                }
            }
            Place::Output { .. } => Retracted::Sent,
        };
        let tell = match (retracted, reason) {
            // The end of the connection says it of all calls.
            (Retracted::Gone, _) | (_, Reason::Now) => false,
            // The peer keeps a deadline that it was told of by itself.
            (Retracted::Sent, Reason::Timeout) => !self.capabilities.deadline,
            _ => true,
        };
        if tell && self.capabilities.cancel {
            self.encoder.cancel(id, reason, &mut self.out);
        }
        retracted
    }

    /// Where a message is that was just encoded, from flat position `at` on.
    pub(super) fn place(&mut self, lane: Lane, at: usize) -> Place {
        match lane {
            Lane::Whole => Place::Output {
                batch: self.batch,
                at,
                end: self.out.flat_len(),
            },
            Lane::Bulk => {
                self.bulk_requests += 1;
                Place::Bulk
            }
        }
    }

    /// Whether the stream has taken the whole request of a call. `writing` is what the driver writes.
    fn is_taken(&self, ending: Ending, writing: &Out) -> bool {
        match ending {
            Ending::Pending | Ending::Sent(_, Place::Bulk) => false,
            Ending::Sent(_, Place::Chunked { batch, end } | Place::Output { batch, end, .. }) => {
                match self.batch - batch {
                    0 => false,
                    1 => writing.is_empty() || writing.is_read_to(end),
                    // One output is written before the next is taken.
                    _ => true,
                }
            }
        }
    }

    /// Takes a request of this side out of the bulk lane; `None` if it is not in it, otherwise whether any of
    /// it went out.
    fn drop_bulk(&mut self, id: Id, leavings: &mut Leavings) -> Option<bool> {
        let (begun, body) = self.encoder.drop_bulk(id)?;
        leavings.drop_body(body);
        self.bulk_requests -= 1;
        Some(begun)
    }

    fn is_window_open(&self) -> bool {
        self.window.as_ref().is_none_or(Window::is_open)
    }

    fn put_chunk(&mut self, now: Moment) {
        let before = self.out.len();
        let Some(Chunk { id, last }) = self.encoder.next_chunk(&mut self.out) else {
            return;
        };
        if last {
            self.chunked(id);
        }
        let bytes = self.out.len() - before;
        if let Some(mark) = self.window.as_mut().and_then(|it| it.sent(bytes, now)) {
            self.encoder.ping(mark, &mut self.out);
        }
    }

    /// The last chunk of a message is in the output.
    fn chunked(&mut self, id: Id) {
        if id.opener() != self.calls.role() {
            self.bulk_answers.remove(id);
            return;
        }
        self.bulk_one_ways.remove(id);
        self.bulk_requests -= 1;
        let place = Place::Chunked {
            batch: self.batch,
            end: self.out.flat_len(),
        };
        self.calls.chunked(id, place);
    }
}
