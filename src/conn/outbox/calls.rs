//! What callers do with an outbox.

use std::time::Duration;

use steeple_layers::moment::Moment;

use super::{
    super::{
        clock::Tick,
        inflight::{Ending, Key},
        leavings::Leavings,
        mailbox::Recipient,
        options::{Options, Overflow},
        slot::Terms,
    },
    Outbox, Phase,
    output::Retracted,
};
use crate::{
    Body, Encoding, Error, Execution, Kind, Request,
    wire::{Reason, Role},
};

/// What is said of metadata where the wire cannot carry it.
pub(super) const NO_METADATA: &str = "this wire carries no metadata";

/// How many ended calls may stay in the queue of pending ones, beside as many as wait.
const STALE_PENDING: usize = 64;

impl Outbox {
    /// Takes a call and encodes it; `None` if it has to [wait](Self::wait).
    pub(in super::super) fn call(
        &mut self,
        request: &Request<Body>,
        now: Moment,
        recipient: impl Into<Recipient>,
    ) -> Result<Option<Key>, Error> {
        self.check_open()
            .and_then(|()| self.check_ids())
            .inspect_err(|error| self.stats.calls.count(Err(error.kind())))?;
        if self.calls.pending() > 0 || !self.has_room() {
            return Ok(None);
        }
        self.encode(request, now, recipient).map(Some)
    }

    /// Encodes a call for which there is room.
    pub(super) fn encode(
        &mut self,
        request: &Request<Body>,
        now: Moment,
        recipient: impl Into<Recipient>,
    ) -> Result<Key, Error> {
        let remaining = remaining(request, now);
        let id = self.calls.next_id();
        let at = self.out.flat_len();
        let encoded = self
            .check_carried(request)
            .and_then(|()| self.encoder.request(id, request, remaining, &mut self.out));
        match encoded {
            Ok(lane) => {
                self.stats.count_body(request.body());
                let place = self.place(lane, at);
                let terms = self.terms(request, now);
                Ok(self.calls.insert_sent(place, terms, recipient))
            }
            Err(error) => {
                self.stats.calls.count(Err(error.kind()));
                Err(error)
            }
        }
    }

    /// Lets a call wait until it can be encoded.
    pub(in super::super) fn wait(
        &mut self,
        request: Box<Request<Body>>,
        now: Moment,
        recipient: impl Into<Recipient>,
        leavings: &mut Leavings,
    ) -> Result<Key, Error> {
        if let Err(error) = self.make_room_to_wait(1, leavings) {
            self.stats.calls.count(Err(error.kind()));
            leavings.drop_request(request);
            return Err(error);
        }
        Ok(self.enqueue(request, now, recipient))
    }

    /// Puts a call behind those that wait.
    pub(super) fn enqueue(
        &mut self,
        request: Box<Request<Body>>,
        now: Moment,
        recipient: impl Into<Recipient>,
    ) -> Key {
        let terms = self.terms(&request, now);
        let key = self.calls.insert_pending(request, terms, recipient);
        self.pending.push_back(key);
        key
    }

    /// Takes a message without an answer. It never waits, and nothing gives way to it: nobody could be told.
    pub(in super::super) fn one_way(&mut self, request: &Request<Body>) -> Result<(), Error> {
        self.check_open()?;
        self.check_room_for_one_way()?;
        self.encode_one_way(request)
    }

    /// Whether a message without an answer may be put out now.
    pub(super) fn check_room_for_one_way(&self) -> Result<(), Error> {
        self.check_usable()?;
        if self.out.len() + self.bulk_one_ways.sum() >= self.limits.write_buffer {
            let limit = self.limits.write_buffer;
            let text = format!("the write_buffer of {limit} bytes is full");
            return Err(Error::new(Kind::Overflow, text));
        }
        Ok(())
    }

    /// Encodes a message without an answer for which there is room.
    pub(super) fn encode_one_way(&mut self, request: &Request<Body>) -> Result<(), Error> {
        if !self.capabilities.one_way {
            return Err(Error::new(
                Kind::Invalid,
                "this wire has no messages without an answer",
            ));
        }
        self.check_carried(request)?;
        if request.body().len() > self.encoder.bulk_above() {
            self.check_ids()?;
            let id = self.calls.next_id();
            self.encoder.one_way(Some(id), request, &mut self.out)?;
            self.calls.insert_one_way();
            self.bulk_requests += 1;
            self.bulk_one_ways.insert(id, request.body().len());
        } else {
            self.encoder.one_way(None, request, &mut self.out)?;
        }
        self.stats.count_body(request.body());
        self.stats.one_way_sent += 1;
        Ok(())
    }

    /// Ends a call whose caller no longer waits. What has not gone out never will, and what has is taken back.
    pub(in super::super) fn abandon(&mut self, key: Key, leavings: &mut Leavings) {
        self.give_up(key, leavings);
        leavings.wake(self.rouse());
    }

    /// The same for each call of a batch that has not ended; there may be others who wait for it.
    pub(in super::super) fn abandon_all(&mut self, keys: &[Key], leavings: &mut Leavings) {
        for key in keys {
            if let Some((index, ending)) = self.calls.unfinished(*key) {
                let error = Error::new(Kind::Cancelled, "the batch was given up");
                self.end(index, ending, Reason::Dropped, error, leavings);
            }
        }
        leavings.wake(self.rouse());
    }

    fn give_up(&mut self, key: Key, leavings: &mut Leavings) {
        let Some(ending) = self.calls.abandon(key, leavings) else {
            return;
        };
        self.stats.calls.count(Err(Kind::Cancelled));
        let retracted = self.retract(ending, Reason::Dropped, leavings);
        if let (Ending::Sent(id, _), Retracted::Gone) = (ending, retracted) {
            self.calls.forgive(id);
        }
    }

    /// Encodes pending calls while there is room.
    pub(in super::super) fn promote(&mut self, now: Moment, leavings: &mut Leavings) {
        while self.has_room()
            && let Some(key) = self.pending.pop_front()
        {
            let Some(request) = self.calls.pending_request(key) else {
                continue;
            };
            let remaining = remaining(request, now);
            if remaining.is_some_and(|left| left.is_zero()) {
                let text = "the deadline passed before the call could be sent";
                self.fail_pending(key, Error::new(Kind::Timeout, text), leavings);
                continue;
            }
            let id = self.calls.id(key);
            let at = self.out.flat_len();
            let encoded = self
                .check_carried(request)
                .and_then(|()| self.encoder.request(id, request, remaining, &mut self.out));
            match encoded {
                Ok(lane) => {
                    let place = self.place(lane, at);
                    self.calls.promote(key, place, leavings);
                }
                Err(error) => self.fail_pending(key, error, leavings),
            }
        }
    }

    /// Ends the calls whose deadline has passed.
    pub(in super::super) fn expire(&mut self, now: Tick, leavings: &mut Leavings) {
        if self.calls.earliest() > now {
            return;
        }
        let mut from = 0;
        while let Some((index, ending)) = self.calls.next_expired(now, from) {
            from = index + 1;
            let error = Error::new(Kind::Timeout, "the deadline passed before an answer came");
            self.end(index, ending, Reason::Timeout, error, leavings);
        }
        self.calls.update_earliest();
    }

    /// Ends a call with an error, which is told whether it was sent. What has not gone out never will.
    fn end(
        &mut self,
        index: u32,
        ending: Ending,
        reason: Reason,
        error: Error,
        leavings: &mut Leavings,
    ) {
        let retracted = self.retract(ending, reason, leavings);
        let execution = match retracted {
            Retracted::Gone | Retracted::Stopped => Execution::NotSent,
            Retracted::Sent => Execution::MaybeExecuted,
        };
        self.stats.calls.count(Err(error.kind()));
        let error = error.with_execution(execution);
        self.calls.fail(index, error, leavings);
        if let (Ending::Sent(id, _), Retracted::Gone) = (ending, retracted) {
            self.calls.forgive(id);
        }
    }

    /// Ends all calls that wait to be encoded: the peer takes no more.
    pub(super) fn fail_all_pending(&mut self, leavings: &mut Leavings) {
        while let Some(key) = self.pending.pop_front() {
            self.fail_pending(key, draining(), leavings);
        }
    }

    /// Whether another call may be encoded.
    pub(super) fn has_room(&self) -> bool {
        !matches!(self.phase, Phase::Opening | Phase::Closed(_))
            && self.calls.owed() < self.limits.max_calls
            && self.out.len() < self.limits.write_buffer
    }

    fn terms(&self, request: &Request<Body>, now: Moment) -> Terms {
        Terms {
            encoding: match request.encoding() {
                Encoding::RAW => request.body().encoding(),
                encoding => encoding,
            },
            deadline: self.clock.deadline(request.cx().deadline_moment()),
            since: match now {
                Moment::NONE => Tick::NEVER,
                now => self.clock.tick(now),
            },
        }
    }

    /// Makes room in the pending queue for `more` calls, or refuses them: all or none.
    pub(super) fn make_room_to_wait(
        &mut self,
        more: usize,
        leavings: &mut Leavings,
    ) -> Result<(), Error> {
        let waiting = self.calls.pending();
        if self.pending.len() > 2 * waiting + STALE_PENDING {
            let calls = &self.calls;
            self.pending
                .retain(|key| calls.pending_request(*key).is_some());
        }
        let limit = self.limits.max_pending;
        if self.limits.overflow == Overflow::Wait {
            return Ok(());
        }
        let overflow = || {
            let text = format!("{waiting} calls wait for the connection, max_pending is {limit}");
            Error::new(Kind::Overflow, text)
        };
        if self.limits.overflow == Overflow::DropOldest && more <= limit {
            while self.calls.pending() + more > limit
                && let Some(oldest) = self.pending.pop_front()
            {
                self.fail_pending(oldest, overflow(), leavings);
            }
        }
        match self.calls.pending() + more <= limit {
            true => Ok(()),
            false => Err(overflow()),
        }
    }

    fn fail_pending(&mut self, key: Key, error: Error, leavings: &mut Leavings) {
        let kind = error.kind();
        if self.calls.fail_pending(key, error, leavings) {
            self.stats.calls.count(Err(kind));
        }
    }

    /// Whether anything may be written.
    pub(in super::super) fn check_usable(&self) -> Result<(), Error> {
        match &self.phase {
            Phase::Open | Phase::Draining => Ok(()),
            Phase::Opening => Err(Error::new(
                Kind::Unavailable,
                "the connection is not open yet",
            )),
            Phase::Closed(cause) => Err(cause.error(false)),
        }
    }

    /// Refuses what this wire cannot carry.
    fn check_carried(&self, request: &Request<Body>) -> Result<(), Error> {
        if !self.capabilities.metadata && !request.metadata().is_empty() {
            return Err(Error::new(Kind::Invalid, NO_METADATA));
        }
        if !self.capabilities.duplex && self.calls.role() == Role::Acceptor {
            let text = "on this wire only the side that dialled calls";
            return Err(Error::new(Kind::Invalid, text));
        }
        Ok(())
    }

    /// Whether there is an id for another call. Only where every call waits can there be none.
    fn check_ids(&self) -> Result<(), Error> {
        if self.calls.is_full() {
            let limit = Options::MAX_CALLS;
            let text = format!("{limit} calls have not ended, and no more have an id");
            return Err(Error::new(Kind::Overflow, text));
        }
        Ok(())
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        match &self.phase {
            Phase::Opening | Phase::Open => Ok(()),
            Phase::Draining => Err(draining()),
            Phase::Closed(cause) => Err(cause.error(false)),
        }
    }
}

fn draining() -> Error {
    Error::new(
        Kind::Unavailable,
        "the connection drains and takes no new call",
    )
}

/// What a call has left of its time, if it has a deadline.
fn remaining(request: &Request<Body>, now: Moment) -> Option<Duration> {
    match request.cx().deadline_moment() {
        Moment::NONE => None,
        deadline => Some(deadline.since(now)),
    }
}
