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
//! A caller waits where its [`Recipient`] says, and results reach it past the lock, as [`Leavings`]. Nothing here
//! knows a socket or a clock.

use std::mem;

use super::{
    answer::Answer,
    clock::Tick,
    leavings::Leavings,
    mailbox::Recipient,
    slot::{Place, Slot, Stage, Terms},
};
use crate::{
    Body, Encoding, Error, Request,
    wire::{Id, Role},
};

/// The calls without an answer.
#[derive(Debug)]
pub(super) struct InFlight {
    role: Role,
    slots: Vec<Slot>,
    /// The generation of new slots: later than that of any before them, whose keys may still be about.
    newest: u32,
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
            newest: 0,
            free: 0,
            pending: 0,
            owed: 0,
            earliest: Tick::NEVER,
        }
    }

    /// Who opens these calls.
    pub(super) fn role(&self) -> Role {
        self.role
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

    /// Whether all slots that ids can name are taken.
    pub(super) fn is_full(&self) -> bool {
        self.free >= SLOT_MASK
    }

    /// Since when the oldest answer is owed, whether or not anybody still waits for it.
    pub(super) fn oldest(&self) -> Option<Tick> {
        let owed = self
            .slots
            .iter()
            .filter(|slot| matches!(slot.stage, Stage::Sent | Stage::Orphan));
        let since = owed.map(|slot| slot.terms.since);
        // A message without an answer has no such time.
        since.filter(|since| *since != Tick::NEVER).min()
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
    pub(super) fn insert_sent(
        &mut self,
        place: Place,
        terms: Terms,
        recipient: impl Into<Recipient>,
    ) -> Key {
        self.owed += 1;
        self.insert(Stage::Sent, place, terms, Some(recipient.into()))
    }

    /// Takes the next slot for a call that is not encoded yet.
    pub(super) fn insert_pending(
        &mut self,
        request: Box<Request<Body>>,
        terms: Terms,
        recipient: impl Into<Recipient>,
    ) -> Key {
        self.pending += 1;
        let recipient = Some(recipient.into());
        self.insert(Stage::Pending(request), Place::Bulk, terms, recipient)
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
                slot.recipient = None;
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

    /// Says whose answer this is, and ends the call.
    pub(super) fn answer(&mut self, answer: &mut Answer) -> Met {
        let Some((slot, index)) = self.find(answer.id) else {
            return Met::Nothing;
        };
        let met = match slot.stage {
            Stage::Sent => {
                answer.recipient = slot.recipient.take();
                answer.bind(slot.terms.encoding);
                Met::Call {
                    sending: slot.place == Place::Bulk,
                }
            }
            Stage::Orphan => Met::Late,
            Stage::Pending(_) | Stage::Free { .. } => return Met::Nothing,
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

    /// The slot of a call and what it is; `None` if it has ended.
    pub(super) fn unfinished(&self, key: Key) -> Option<(u32, Ending)> {
        let slot = self.slots.get(key.index as usize)?;
        let same = slot.generation == key.generation;
        same.then(|| self.ending(key.index))?
            .map(|ending| (key.index, ending))
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
        leavings.deliver(slot.recipient.take(), Err(error));
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
            let last = self.slots.iter().map(|slot| slot.generation).max();
            let newest = last.map_or(self.newest, |last| last.wrapping_add(1));
            *self = Self {
                newest,
                ..Self::new(self.role)
            };
        }
    }

    fn next_key(&self) -> Key {
        let vacant = self.slots.get(self.free as usize);
        Key {
            index: self.free,
            generation: vacant.map_or(self.newest, |slot| slot.generation),
        }
    }

    fn insert(
        &mut self,
        stage: Stage,
        place: Place,
        terms: Terms,
        recipient: Option<Recipient>,
    ) -> Key {
        let key = self.next_key();
        self.earliest = self.earliest.min(terms.deadline);
        let slot = Slot {
            generation: key.generation,
            terms,
            place,
            stage,
            recipient,
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
        slot.recipient = None;
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
        let mut over = rest.filter(|(_, slot)| over(slot));
        over.find_map(|(index, _)| Some((index, self.ending(index)?)))
    }

    /// What the call in a slot is, if it has not ended.
    fn ending(&self, index: u32) -> Option<Ending> {
        let slot = &self.slots[index as usize];
        match slot.stage {
            Stage::Pending(_) => Some(Ending::Pending),
            Stage::Sent => {
                let generation = slot.generation;
                let id = self.id(Key { index, generation });
                Some(Ending::Sent(id, slot.place))
            }
            Stage::Free { .. } | Stage::Orphan => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::Arc,
        task::{Poll, Waker},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::{Kind, Response, conn::mailbox::Mailbox};

    /// What happens to calls; numbers choose among those there are.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Send { deadline: u64 },
        SendInChunks,
        SendOneWayInChunks,
        LastChunk(usize),
        Queue { deadline: u64 },
        Promote,
        Answer(usize),
        AnswerAgain(usize),
        AnswerAnything(u32),
        Abandon(usize),
        Retract(usize),
        FailOldestPending,
        Expire(u64),
        Shrink,
        Lose,
    }

    fn step() -> impl Strategy<Value = Step> {
        let which = || 0..100usize;
        prop_oneof![
            4 => (1..1000u64).prop_map(|deadline| Step::Send { deadline }),
            1 => Just(Step::SendInChunks),
            1 => Just(Step::SendOneWayInChunks),
            2 => which().prop_map(Step::LastChunk),
            3 => (1..1000u64).prop_map(|deadline| Step::Queue { deadline }),
            3 => Just(Step::Promote),
            5 => which().prop_map(Step::Answer),
            1 => which().prop_map(Step::AnswerAgain),
            1 => any::<u32>().prop_map(Step::AnswerAnything),
            2 => which().prop_map(Step::Abandon),
            2 => which().prop_map(Step::Retract),
            1 => Just(Step::FailOldestPending),
            1 => (1..1000u64).prop_map(Step::Expire),
            1 => Just(Step::Shrink),
            1 => Just(Step::Lose),
        ]
    }

    /// A call as simple as can be.
    #[derive(Debug)]
    struct Call {
        key: Option<Key>,
        mailbox: Option<Arc<Mailbox>>,
        deadline: u64,
        is_pending: bool,
        /// Whether its request is still in chunks.
        is_chunking: bool,
        /// Its id, if the peer owes an answer, or END for one without.
        owed: Option<Id>,
        /// Whether a caller waits for the result.
        is_awaited: bool,
        /// What the caller is to find.
        result: Option<Result<(), Kind>>,
    }

    /// The slab, and what is known of its calls.
    struct Model {
        slab: InFlight,
        calls: Vec<Call>,
        /// Ids that were answered.
        paid: Vec<Id>,
    }

    fn terms(deadline: u64) -> Terms {
        Terms {
            encoding: Encoding::RAW,
            deadline: Tick::new(deadline),
            since: Tick::new(0),
        }
    }

    fn output() -> Place {
        Place::Output {
            batch: 0,
            at: 0,
            end: 1,
        }
    }

    fn pick<T>(of: Vec<T>, which: usize) -> Option<T> {
        let len = of.len();
        of.into_iter().nth(which % len.max(1))
    }

    impl Model {
        fn new() -> Self {
            Self {
                slab: InFlight::new(Role::Dialer),
                calls: Vec::new(),
                paid: Vec::new(),
            }
        }

        /// The calls that are so.
        fn those(&self, so: impl Fn(&Call) -> bool) -> Vec<usize> {
            let calls = self.calls.iter().enumerate();
            calls
                .filter(|(_, call)| so(call))
                .map(|(at, _)| at)
                .collect()
        }

        fn add(&mut self, key: Key, mailbox: Arc<Mailbox>, deadline: u64, place: Option<Place>) {
            self.calls.push(Call {
                key: Some(key),
                mailbox: Some(mailbox),
                deadline,
                is_pending: place.is_none(),
                is_chunking: place == Some(Place::Bulk),
                owed: place.map(|_| self.slab.id(key)),
                is_awaited: true,
                result: None,
            });
        }

        /// A call has ended for its caller. What was sent stays owed.
        fn end(&mut self, at: usize, result: Result<(), Kind>) {
            let call = &mut self.calls[at];
            call.is_pending = false;
            call.is_awaited = false;
            call.result = Some(result);
        }

        fn run(&mut self, step: Step) {
            let leavings = &mut Leavings::default();
            match step {
                Step::Send { deadline } => {
                    let mailbox = Arc::<Mailbox>::default();
                    let key = self.slab.insert_sent(output(), terms(deadline), &mailbox);
                    self.add(key, mailbox, deadline, Some(output()));
                }
                Step::SendInChunks => {
                    let mailbox = Arc::<Mailbox>::default();
                    let key = self.slab.insert_sent(Place::Bulk, terms(5000), &mailbox);
                    self.add(key, mailbox, 5000, Some(Place::Bulk));
                }
                Step::SendOneWayInChunks => {
                    let id = self.slab.next_id();
                    self.slab.insert_one_way();
                    self.calls.push(Call {
                        key: None,
                        mailbox: None,
                        deadline: 5000,
                        is_pending: false,
                        is_chunking: true,
                        owed: Some(id),
                        is_awaited: false,
                        result: None,
                    });
                }
                Step::LastChunk(which) => {
                    // The chunks of a call that was given up do not get that far.
                    let chunking = |call: &Call| {
                        let goes_on = call.is_awaited || call.key.is_none();
                        call.is_chunking && call.owed.is_some() && goes_on
                    };
                    if let Some(at) = pick(self.those(chunking), which) {
                        let call = &mut self.calls[at];
                        let id = call.owed.unwrap();
                        call.is_chunking = false;
                        if call.key.is_none() {
                            call.owed = None;
                        }
                        let place = Place::Chunked { batch: 1, end: 1 };
                        self.slab.chunked(id, place);
                    }
                }
                Step::Queue { deadline } => {
                    let request = Box::new(Request::new("m", Body::empty()));
                    let mailbox = Arc::<Mailbox>::default();
                    let terms = terms(deadline);
                    let key = self.slab.insert_pending(request, terms, &mailbox);
                    self.add(key, mailbox, deadline, None);
                }
                Step::Promote => {
                    if let Some(at) = pick(self.those(|call| call.is_pending), 0) {
                        let call = &mut self.calls[at];
                        let key = call.key.unwrap();
                        assert!(self.slab.pending_request(key).is_some());
                        (call.is_pending, call.owed) = (false, Some(self.slab.id(key)));
                        self.slab.promote(key, output(), leavings);
                    }
                }
                Step::Answer(which) => {
                    let owing = |call: &Call| call.owed.is_some() && call.key.is_some();
                    if let Some(at) = pick(self.those(owing), which) {
                        let id = self.calls[at].owed.take().unwrap();
                        self.paid.push(id);
                        let met = self.answer(id, leavings);
                        if self.calls[at].is_awaited {
                            let sending = self.calls[at].is_chunking;
                            assert_eq!(met, Met::Call { sending });
                            self.end(at, Ok(()));
                        } else {
                            assert_eq!(met, Met::Late);
                        }
                    }
                }
                Step::AnswerAgain(which) => {
                    if let Some(id) = pick(self.paid.clone(), which) {
                        self.answer_anything(id, leavings);
                    }
                }
                Step::AnswerAnything(bits) => self.answer_anything(Id::from_bits(bits), leavings),
                Step::Abandon(which) => {
                    if let Some(at) = pick(self.those(|call| call.mailbox.is_some()), which) {
                        let call = &mut self.calls[at];
                        let mailbox = call.mailbox.take().unwrap();
                        assert_eq!(mailbox.close(), call.is_awaited);
                        let ending = self.slab.abandon(call.key.unwrap(), leavings);
                        let expected = match (call.is_awaited, call.owed) {
                            (false, _) => None,
                            (true, None) => Some(Ending::Pending),
                            (true, Some(id)) => {
                                let place = match ending {
                                    Some(Ending::Sent(_, place)) => place,
                                    _ => output(),
                                };
                                Some(Ending::Sent(id, place))
                            }
                        };
                        assert_eq!(ending, expected);
                        (call.is_awaited, call.is_pending) = (false, false);
                    }
                }
                Step::Retract(which) => {
                    // Only what has ended is taken back.
                    let gone =
                        |call: &Call| call.owed.is_some() && !call.is_awaited && call.key.is_some();
                    if let Some(at) = pick(self.those(gone), which) {
                        self.slab.forgive(self.calls[at].owed.take().unwrap());
                    }
                }
                Step::FailOldestPending => {
                    if let Some(at) = pick(self.those(|call| call.is_pending), 0) {
                        let error = Error::new(Kind::Overflow, "");
                        let key = self.calls[at].key.unwrap();
                        assert!(self.slab.fail_pending(key, error, leavings));
                        self.end(at, Err(Kind::Overflow));
                        let again = Error::new(Kind::Internal, "");
                        assert!(!self.slab.fail_pending(key, again, leavings));
                    }
                }
                Step::Expire(now) => {
                    let expired = self.those(|call| call.is_awaited && call.deadline <= now);
                    if !expired.is_empty() {
                        assert!(self.slab.earliest() <= Tick::new(now));
                    }
                    let mut found = 0;
                    let mut from = 0;
                    while let Some((index, _)) = self.slab.next_expired(Tick::new(now), from) {
                        from = index + 1;
                        found += 1;
                        self.slab
                            .fail(index, Error::new(Kind::Timeout, ""), leavings);
                    }
                    assert_eq!(found, expired.len());
                    for at in expired {
                        self.end(at, Err(Kind::Timeout));
                    }
                    self.slab.update_earliest();
                }
                Step::Shrink => self.slab.shrink(),
                Step::Lose => {
                    let mut from = 0;
                    while let Some((index, _)) = self.slab.next_unfinished(from) {
                        from = index + 1;
                        self.slab
                            .fail(index, Error::new(Kind::Connection, ""), leavings);
                    }
                    self.slab.forgive_all();
                    for at in self.those(|call| call.is_awaited) {
                        self.end(at, Err(Kind::Connection));
                    }
                    self.calls.iter_mut().for_each(|call| call.owed = None);
                }
            }
        }

        /// An answer that this side cannot have been waiting for, or just may.
        fn answer_anything(&mut self, id: Id, leavings: &mut Leavings) {
            if self.calls.iter().all(|call| call.owed != Some(id)) {
                assert_eq!(self.answer(id, leavings), Met::Nothing);
            }
        }

        fn answer(&mut self, id: Id, leavings: &mut Leavings) -> Met {
            let mut answer = Answer::new(id, Ok(Response::default()));
            let met = self.slab.answer(&mut answer);
            leavings.settle_with(&mut vec![answer]);
            met
        }

        fn check(&mut self) {
            let pending = self.those(|call| call.is_pending).len();
            let owed: Vec<Id> = self.calls.iter().filter_map(|call| call.owed).collect();
            assert_eq!(
                (self.slab.pending(), self.slab.owed()),
                (pending, owed.len())
            );
            assert_eq!(self.slab.is_idle(), pending + owed.len() == 0);
            let different: HashSet<_> = owed.iter().collect();
            assert_eq!(different.len(), owed.len(), "an id is used twice");
            let next = self.slab.next_id();
            assert!(!owed.contains(&next), "{next:?} is still owed an answer");
            for call in &mut self.calls {
                let Some(mailbox) = &call.mailbox else {
                    continue;
                };
                match (mailbox.poll(Waker::noop()), call.result.take()) {
                    (Poll::Pending, None) => assert!(call.is_awaited),
                    (Poll::Ready(result), Some(expected)) => {
                        assert_eq!(result.map(drop).map_err(|error| error.kind()), expected);
                        call.mailbox = None;
                    }
                    (found, expected) => panic!("{found:?} where {expected:?} is due"),
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn each_call_ends_once_and_no_id_is_used_while_an_answer_is_owed(
            steps in prop::collection::vec(step(), 0..80),
        ) {
            let mut model = Model::new();
            for step in steps {
                model.run(step);
                model.check();
            }
        }
    }

    #[test]
    fn an_id_that_was_forgiven_is_not_the_next_ones() {
        let mut slab = InFlight::new(Role::Dialer);
        let leavings = &mut Leavings::default();
        let key = slab.insert_sent(output(), terms(1), &Arc::<Mailbox>::default());
        let id = slab.id(key);
        slab.abandon(key, leavings);
        slab.forgive(id);
        assert_ne!(slab.next_id(), id);
        slab.shrink();
        assert_ne!(slab.next_id(), id, "nor after the memory was given back");
    }

    #[test]
    fn slots_end_where_ids_do() {
        let mut slab = InFlight::new(Role::Acceptor);
        for _ in 0..SLOT_MASK {
            assert!(!slab.is_full());
            slab.insert_one_way();
        }
        assert!(slab.is_full());
        let last = slab.id(Key {
            index: SLOT_MASK - 1,
            generation: 0,
        });
        assert_eq!(last.index(), SLOT_MASK);
        slab.forgive(last);
        assert!(!slab.is_full());
        assert_eq!(slab.next_id().index() & SLOT_MASK, SLOT_MASK);
    }
}
