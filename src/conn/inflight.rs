//! The calls that this side has opened: a slab of slots, one per call, reused by one rule.
//!
//! ```text
//!           queue              encode               answer
//!   Free ──────────▶ Pending ──────────▶ Sent ──────────────▶ Free
//!     │                 │      encode     ▲ │                   ▲
//!     └─────────────────┼─────────────────┘ │ give up, deadline │ answer
//!                       │ give up, deadline ▼                   │
//!                       └──▶ Free         Orphan ───────────────┘
//! ```
//!
//! *The rule*: the wire id of a slot is free only when the answer has arrived **and** this side has stopped
//! sending the request. A call that ends before it was answered leaves an orphan, which holds the id until
//! the peer has paid; so a late answer can never meet a younger call.
//!
//! A caller waits at a [`Mailbox`] of its own, and results reach it past the lock, as [`Leavings`]. Nothing here
//! knows a socket or a clock.

use std::{mem, sync::Arc};

use super::{
    answer::bind,
    clock::Tick,
    leavings::Leavings,
    mailbox::Mailbox,
    slot::{Place, Slot, Stage, Terms},
};
use crate::{
    Body, Encoding, Error, Request, Response,
    wire::{Id, Role},
};

/// The calls without an answer.
#[derive(Debug)]
pub(super) struct InFlight {
    role: Role,
    slots: Vec<Slot>,
    /// The first free slot, or the number of slots.
    free: u32,
    pending: usize,
    owed: usize,
    /// Not later than the deadline of any call that waits.
    earliest: Tick,
}

/// Names a call: its slot, and the slot's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

/// A call that ends without an answer, and what is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was never encoded.
    Pending,
    /// It was encoded and is there, or further.
    Sent(Id, Place),
}

/// What an answer met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// A call that has not ended.
    Call {
        /// Whether the request is still being sent, in chunks.
        sending: bool,
    },
    /// A call that had ended.
    Late,
    /// No call that is owed an answer.
    Nothing,
}

/// The bits of an id's index that tell the slot. Those above tell the generation, for diagnosis only.
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const GENERATION_MASK: u32 = (1 << (31 - SLOT_BITS)) - 1;

impl InFlight {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            slots: Vec::new(),
            free: 0,
            pending: 0,
            owed: 0,
            earliest: Tick::NEVER,
        }
    }

    /// Calls that wait to be encoded.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Calls that were encoded and that the peer has not answered, whether or not anybody waits.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// Whether no call waits, and no answer is owed.
    pub(super) fn is_idle(&self) -> bool {
        self.pending + self.owed == 0
    }

    /// Not later than the first deadline there is.
    pub(super) fn earliest(&self) -> Tick {
        self.earliest
    }

    /// Since when the oldest call waits that was sent.
    pub(super) fn oldest(&self) -> Option<Tick> {
        let sent = self
            .slots
            .iter()
            .filter(|slot| matches!(slot.stage, Stage::Sent));
        sent.map(|slot| slot.terms.since).min()
    }

    /// The id on the wire of the next call.
    pub(super) fn next_id(&self) -> Id {
        self.id(self.next_key())
    }

    /// The id on the wire of a call. Never 0, which belongs to the connection.
    pub(super) fn id(&self, key: Key) -> Id {
        let generation = key.generation & GENERATION_MASK;
        Id::new(self.role, generation << SLOT_BITS | (key.index + 1))
    }

    /// Takes the next slot for a call that is encoded.
    pub(super) fn insert_sent(&mut self, place: Place, terms: Terms, mailbox: Arc<Mailbox>) -> Key {
        self.owed += 1;
        self.insert(Stage::Sent, place, terms, Some(mailbox))
    }

    /// Takes the next slot for a call that is not encoded yet.
    pub(super) fn insert_pending(
        &mut self,
        request: Box<Request<Body>>,
        terms: Terms,
        mailbox: Arc<Mailbox>,
    ) -> Key {
        self.pending += 1;
        self.insert(Stage::Pending(request), Place::Bulk, terms, Some(mailbox))
    }

    /// Takes a slot for a message without an answer while it is sent in chunks: an orphan from birth.
    pub(super) fn insert_one_way(&mut self) {
        self.owed += 1;
        let terms = Terms {
            encoding: Encoding::RAW,
            deadline: Tick::NEVER,
            since: Tick::NEVER,
        };
        self.insert(Stage::Orphan, Place::Bulk, terms, None);
    }

    /// The request of a pending call; `None` if the call has ended.
    pub(super) fn pending_request(&self, key: Key) -> Option<&Request<Body>> {
        let slot = self.slots.get(key.index as usize)?;
        match &slot.stage {
            Stage::Pending(request) if slot.generation == key.generation => Some(request),
            _ => None,
        }
    }

    /// Makes a pending call a sent one.
    pub(super) fn promote(&mut self, key: Key, place: Place, leavings: &mut Leavings) {
        let slot = &mut self.slots[key.index as usize];
        slot.place = place;
        mem::replace(&mut slot.stage, Stage::Sent).leave(leavings);
        self.pending -= 1;
        self.owed += 1;
    }

    /// Says that the last chunk of a message is in an output. A message without an answer ends with that; the
    /// chunks of an orphaned call never get that far.
    pub(super) fn chunked(&mut self, id: Id, place: Place) {
        let Some((slot, _)) = self.find(id) else {
            return;
        };
        slot.place = place;
        if let Stage::Orphan = slot.stage {
            self.forgive(id);
        }
    }

    /// Ends a call whose caller no longer waits. What was sent becomes an orphan; `None` if it has ended.
    pub(super) fn abandon(&mut self, key: Key, leavings: &mut Leavings) -> Option<Ending> {
        let id = self.id(key);
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        match slot.stage {
            Stage::Pending(_) => {
                self.pending -= 1;
                self.release(key.index).leave(leavings);
                Some(Ending::Pending)
            }
            Stage::Sent => {
                slot.stage = Stage::Orphan;
                slot.mailbox = None;
                Some(Ending::Sent(id, slot.place))
            }
            Stage::Free { .. } | Stage::Orphan => None,
        }
    }

    /// Frees the id of an orphan of which nothing was sent: no answer is owed.
    pub(super) fn forgive(&mut self, id: Id) {
        if let Some((slot, index)) = self.find(id)
            && let Stage::Orphan = slot.stage
        {
            self.release(index);
            self.owed -= 1;
        }
    }

    /// Gives the peer's answer to its caller.
    pub(super) fn answer(
        &mut self,
        id: Id,
        result: Result<Response<Body>, Error>,
        leavings: &mut Leavings,
    ) -> Met {
        let Some((slot, index)) = self.find(id) else {
            leavings.drop_result(result);
            return Met::Nothing;
        };
        let met = match slot.stage {
            Stage::Sent => {
                leavings.deliver(slot.mailbox.take(), bind(result, slot.terms.encoding));
                Met::Call {
                    sending: slot.place == Place::Bulk,
                }
            }
            Stage::Orphan => {
                leavings.drop_result(result);
                Met::Late
            }
            Stage::Pending(_) | Stage::Free { .. } => {
                leavings.drop_result(result);
                return Met::Nothing;
            }
        };
        self.owed -= 1;
        self.release(index);
        met
    }

    /// Ends a pending call with an error, if it has not ended.
    pub(super) fn fail_pending(&mut self, key: Key, error: Error, leavings: &mut Leavings) -> bool {
        let waits = self.pending_request(key).is_some();
        if waits {
            self.fail(key.index, error, leavings);
        }
        waits
    }

    /// The next call, from slot `from` on, whose deadline is not after `now`: the slot and what it is.
    pub(super) fn next_expired(&self, now: Tick, from: u32) -> Option<(u32, Ending)> {
        self.next_waiting(from, |slot| slot.terms.deadline <= now)
    }

    /// The next call, from slot `from` on, that has not ended: the slot and what it is.
    pub(super) fn next_unfinished(&self, from: u32) -> Option<(u32, Ending)> {
        self.next_waiting(from, |_| true)
    }

    /// Ends the call in a slot with an error. If it was sent, its answer stays owed.
    pub(super) fn fail(&mut self, index: u32, error: Error, leavings: &mut Leavings) {
        let slot = &mut self.slots[index as usize];
        leavings.deliver(slot.mailbox.take(), Err(error));
        match slot.stage {
            Stage::Sent => slot.stage = Stage::Orphan,
            _ => {
                self.pending -= 1;
                self.release(index).leave(leavings);
            }
        }
    }

    /// Computes anew when the first deadline is, after those that have passed were dealt with.
    pub(super) fn update_earliest(&mut self) {
        let waiting = self.slots.iter().filter(|slot| slot.is_waiting());
        let earliest = waiting.map(|slot| slot.terms.deadline).min();
        self.earliest = earliest.unwrap_or(Tick::NEVER);
    }

    /// Writes all debts off: the peer will answer nothing any more.
    pub(super) fn forgive_all(&mut self) {
        for index in 0..self.slots.len() as u32 {
            if let Stage::Orphan = self.slots[index as usize].stage {
                self.release(index);
            }
        }
        self.owed = 0;
    }

    /// Gives the memory of an idle slab back.
    pub(super) fn shrink(&mut self) {
        if self.is_idle() {
            *self = Self::new(self.role);
        }
    }

    fn next_key(&self) -> Key {
        let vacant = self.slots.get(self.free as usize);
        Key {
            index: self.free,
            generation: vacant.map_or(0, |slot| slot.generation),
        }
    }

    fn insert(
        &mut self,
        stage: Stage,
        place: Place,
        terms: Terms,
        mailbox: Option<Arc<Mailbox>>,
    ) -> Key {
        let key = self.next_key();
        self.earliest = self.earliest.min(terms.deadline);
        let slot = Slot {
            generation: key.generation,
            terms,
            place,
            stage,
            mailbox,
        };
        match self.slots.get_mut(key.index as usize) {
            None => {
                self.free += 1;
                self.slots.push(slot);
            }
            Some(vacant) => {
                let Stage::Free { next } = vacant.stage else {
                    unreachable!("the free list holds free slots only");
                };
                self.free = next;
                *vacant = slot;
            }
        }
        key
    }

    /// Frees a slot.
    fn release(&mut self, index: u32) -> Stage {
        let next = mem::replace(&mut self.free, index);
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.mailbox = None;
        mem::replace(&mut slot.stage, Stage::Free { next })
    }

    /// The slot that an id names, unless it is free or another call's by now.
    fn find(&mut self, id: Id) -> Option<(&mut Slot, u32)> {
        let index = (id.index() & SLOT_MASK).checked_sub(1)?;
        let generation = id.index() >> SLOT_BITS;
        let slot = self.slots.get_mut(index as usize)?;
        let same = slot.generation & GENERATION_MASK == generation && id.opener() == self.role;
        let free = matches!(slot.stage, Stage::Free { .. });
        (same && !free).then_some((slot, index))
    }

    fn next_waiting(&self, from: u32, over: impl Fn(&Slot) -> bool) -> Option<(u32, Ending)> {
        let rest = (0..).zip(&self.slots).skip(from as usize);
        let mut waiting = rest.filter(|(_, slot)| slot.is_waiting() && over(slot));
        let (index, slot) = waiting.next()?;
        let ending = match slot.stage {
            Stage::Pending(_) => Ending::Pending,
            _ => {
                let generation = slot.generation;
                Ending::Sent(self.id(Key { index, generation }), slot.place)
            }
        };
        Some((index, ending))
    }
}
