//! The calls that this side has opened: a slab of slots, one per call, reused by one rule.
//!
//! ```text
//!           queue              encode               answer          take
//!   Free ──────────▶ Pending ──────────▶ Sent ───────────────▶ Done ──────▶ Free
//!     │                 │      encode     │ ▲  deadline          │            ▲
//!     └─────────────────┼────────────────▶┘ └───────────▶ Done, owed          │
//!                       │                 │                  │ take           │
//!                       │ give up         │ give up          ▼       answer   │
//!                       └──▶ Free         └───────────────▶ Orphan ───────────┘
//! ```
//!
//! *The rule*: the wire id of a slot is free only when the answer has arrived **and** this side has stopped
//! sending the request. A call that ends before it was answered leaves the answer owed: its slot holds
//! the id until the peer has paid, so a late answer can never meet a younger call.
//!
//! Nothing here knows a socket or a clock.

use std::{
    mem,
    task::{Poll, Waker},
};

use super::{
    answer::bind,
    clock::Tick,
    leavings::Leavings,
    slot::{Place, Slot, Stage, Terms},
};
use crate::{
    Body, Encoding, Error, Request, Response,
    wire::{Id, Role},
};

/// The calls without an answer, and the answers not taken yet.
#[derive(Debug)]
pub(super) struct InFlight {
    role: Role,
    slots: Vec<Slot>,
    /// The first free slot, or the number of slots.
    free: u32,
    pending: usize,
    owed: usize,
    untaken: usize,
    /// Not later than the deadline of any call that waits.
    earliest: Tick,
}

/// What a caller holds of its call.
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
#[derive(Debug)]
pub(super) enum Met {
    /// A caller.
    Caller {
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
            untaken: 0,
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

    /// Whether no slot is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.pending + self.owed + self.untaken == 0
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
    pub(super) fn insert_sent(&mut self, place: Place, terms: Terms) -> Key {
        self.owed += 1;
        self.insert(Stage::Sent, place, terms)
    }

    /// Takes the next slot for a call that is not encoded yet.
    pub(super) fn insert_pending(&mut self, request: Box<Request<Body>>, terms: Terms) -> Key {
        self.pending += 1;
        self.insert(Stage::Pending(request), Place::Bulk, terms)
    }

    /// The request of a pending call; `None` if the call has ended.
    pub(super) fn pending_request(&self, key: Key) -> Option<&Request<Body>> {
        let slot = &self.slots[key.index as usize];
        match &slot.stage {
            Stage::Pending(request) if slot.generation == key.generation => Some(request),
            _ => None,
        }
    }

    /// Makes a pending call a sent one.
    pub(super) fn promote(&mut self, key: Key, place: Place, leavings: &mut Leavings) {
        let slot = &mut self.slots[key.index as usize];
        slot.place = place;
        let stage = if slot.detached {
            Stage::Orphan
        } else {
            Stage::Sent
        };
        mem::replace(&mut slot.stage, stage).leave(leavings);
        self.pending -= 1;
        self.owed += 1;
    }

    /// Takes a slot for a message without an answer while it is sent in chunks: an orphan from birth.
    pub(super) fn insert_one_way(&mut self) -> Key {
        self.owed += 1;
        let terms = Terms {
            encoding: Encoding::RAW,
            deadline: Tick::NEVER,
            since: Tick::NEVER,
        };
        self.insert(Stage::Orphan, Place::Bulk, terms)
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

    /// The result of a call, or a promise to wake its caller.
    pub(super) fn poll(
        &mut self,
        key: Key,
        waker: &Waker,
        leavings: &mut Leavings,
    ) -> Poll<Result<Response<Body>, Error>> {
        let slot = &mut self.slots[key.index as usize];
        debug_assert_eq!(
            slot.generation, key.generation,
            "a caller outlived its slot"
        );
        if let Stage::Done { .. } = slot.stage {
            return Poll::Ready(self.take(key.index));
        }
        if !slot.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            leavings.drop_waker(slot.waker.replace(waker.clone()));
        }
        Poll::Pending
    }

    /// Ends a call whose caller no longer waits. What was sent becomes an orphan; `None` if it had a result.
    pub(super) fn abandon(&mut self, key: Key, leavings: &mut Leavings) -> Option<Ending> {
        let id = self.id(key);
        let slot = &mut self.slots[key.index as usize];
        leavings.drop_waker(slot.waker.take());
        match slot.stage {
            Stage::Pending(_) => {
                self.pending -= 1;
                self.release(key.index).leave(leavings);
                Some(Ending::Pending)
            }
            Stage::Sent => {
                slot.stage = Stage::Orphan;
                Some(Ending::Sent(id, slot.place))
            }
            Stage::Done { .. } => {
                leavings.drop_result(self.take(key.index));
                None
            }
            Stage::Free { .. } | Stage::Orphan => None,
        }
    }

    /// Lets a call go on although nobody waits for its answer.
    pub(super) fn detach(&mut self, key: Key, leavings: &mut Leavings) {
        let slot = &mut self.slots[key.index as usize];
        leavings.drop_waker(slot.waker.take());
        match slot.stage {
            Stage::Pending(_) => slot.detached = true,
            Stage::Sent => slot.stage = Stage::Orphan,
            Stage::Done { .. } => leavings.drop_result(self.take(key.index)),
            Stage::Free { .. } | Stage::Orphan => {}
        }
    }

    /// Frees the id of a call of which nothing was sent: no answer is owed.
    pub(super) fn forgive(&mut self, id: Id) {
        let Some((slot, index)) = self.find(id) else {
            return;
        };
        match &mut slot.stage {
            Stage::Done { owed, .. } if *owed => *owed = false,
            Stage::Orphan => drop(self.release(index)),
            _ => return,
        }
        self.owed -= 1;
    }

    /// Gives the peer's answer to its caller.
    pub(super) fn answer(
        &mut self,
        id: Id,
        result: Result<Response<Body>, Error>,
        leavings: &mut Leavings,
    ) -> Met {
        let Some((slot, _)) = self.find(id) else {
            leavings.drop_result(result);
            return Met::Nothing;
        };
        if !matches!(slot.stage, Stage::Sent) {
            let owed = matches!(slot.stage, Stage::Orphan | Stage::Done { owed: true, .. });
            self.forgive(id);
            leavings.drop_result(result);
            return if owed { Met::Late } else { Met::Nothing };
        }
        let result = bind(result, slot.terms.encoding);
        slot.stage = Stage::Done {
            result,
            owed: false,
        };
        leavings.wake(slot.waker.take());
        let sending = slot.place == Place::Bulk;
        self.owed -= 1;
        self.untaken += 1;
        Met::Caller { sending }
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

    /// The next call, from slot `from` on, that has no result: the slot and what it is.
    pub(super) fn next_unfinished(&self, from: u32) -> Option<(u32, Ending)> {
        self.next_waiting(from, |_| true)
    }

    /// Ends the call in a slot, which waits, with an error. If it was sent, its answer stays owed.
    pub(super) fn fail(&mut self, index: u32, error: Error, leavings: &mut Leavings) {
        let slot = &mut self.slots[index as usize];
        let owed = matches!(slot.stage, Stage::Sent);
        let done = Stage::Done {
            result: Err(error),
            owed,
        };
        mem::replace(&mut slot.stage, done).leave(leavings);
        leavings.wake(slot.waker.take());
        let detached = slot.detached;
        self.pending -= usize::from(!owed);
        self.untaken += 1;
        if detached {
            leavings.drop_result(self.take(index));
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
            match &mut self.slots[index as usize].stage {
                Stage::Done { owed, .. } => *owed = false,
                Stage::Orphan => drop(self.release(index)),
                _ => {}
            }
        }
        self.owed = 0;
    }

    /// Gives the memory of an empty slab back.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
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

    fn insert(&mut self, stage: Stage, place: Place, terms: Terms) -> Key {
        let key = self.next_key();
        self.earliest = self.earliest.min(terms.deadline);
        if let Some(slot) = self.slots.get_mut(key.index as usize) {
            let Stage::Free { next } = slot.stage else {
                unreachable!("the free list holds free slots only");
            };
            self.free = next;
            slot.terms = terms;
            slot.place = place;
            slot.detached = false;
            slot.stage = stage;
        } else {
            self.free += 1;
            self.slots.push(Slot {
                generation: key.generation,
                terms,
                place,
                waker: None,
                detached: false,
                stage,
            });
        }
        key
    }

    /// Frees a slot.
    fn release(&mut self, index: u32) -> Stage {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.waker = None;
        let next = mem::replace(&mut self.free, index);
        mem::replace(&mut slot.stage, Stage::Free { next })
    }

    /// Takes the result out of a slot that is done, and frees it unless an answer is owed.
    fn take(&mut self, index: u32) -> Result<Response<Body>, Error> {
        self.untaken -= 1;
        let slot = &mut self.slots[index as usize];
        let stage = match slot.stage {
            Stage::Done { owed: true, .. } => mem::replace(&mut slot.stage, Stage::Orphan),
            _ => self.release(index),
        };
        match stage {
            Stage::Done { result, .. } => result,
            _ => unreachable!("only a slot that is done is taken from"),
        }
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
