//! What handlers do with an outbox.

use std::task::Waker;

use super::{
    super::{job::Reply, leavings::Leavings},
    Outbox, Phase,
    calls::NO_METADATA,
};
use crate::{
    Body, Encoding, Error, Execution, Kind, Response,
    wire::{
        Capabilities, Id, Lane, Reason,
        numbers::{encoding::name, limit::MAX_REFLEX_BYTES},
    },
};

impl Outbox {
    /// The one answer to a request of the peer, which asked for `encoding`.
    fn respond(&mut self, id: Id, encoding: Encoding, result: Result<&Response<Body>, &Error>) {
        if let Phase::Closed(_) = self.phase {
            return;
        }
        if self.bulk_answers.contains(id) {
            self.reused = Some(id);
            return;
        }
        let before = self.out.len();
        let mismatch = result
            .ok()
            .and_then(|response| check(response, encoding, self.capabilities).err());
        let result = mismatch.as_ref().map_or(result, Err);
        match (self.encoder.response(id, result, &mut self.out), result) {
            (Err(error), _) => {
                self.stats.served.count(Err(error.kind()));
                let lane = self.encoder.response(id, Err(&error), &mut self.out);
                debug_assert!(lane.is_ok(), "an error answer is shortened, not refused");
            }
            (Ok(lane), result) => {
                let outcome = result.map(drop).map_err(Error::kind);
                self.stats.served.count(outcome);
                if let Ok(response) = result {
                    self.stats.count_body(response.body());
                }
                if lane == Lane::Bulk {
                    self.bulk_answers.insert(id, len(result));
                }
            }
        }
        if result.is_err_and(|error| error.execution() == Execution::NotStarted) {
            self.reflex_bytes += self.out.len() - before;
        }
    }

    /// Puts out what a handler answered, if somebody waits for it.
    pub(in super::super) fn answer(
        &mut self,
        reply: Reply,
        result: Result<&Response<Body>, &Error>,
    ) {
        match reply {
            Reply::To(id, encoding) => self.respond(id, encoding, result),
            Reply::Nobody(_) => {
                let (answers, dropped) = match result {
                    Ok(response) => (!response.body().is_empty(), false),
                    Err(error) => match error.execution() {
                        // It is not a handler that says so, and nobody hears it.
                        Execution::NotStarted => (false, true),
                        _ => (true, false),
                    },
                };
                self.stats.one_way_answers += u64::from(answers);
                self.stats.one_way_dropped += u64::from(dropped);
            }
        }
    }

    /// Notes that a task has ended, for the driver, which is returned: there is room for another, also where the
    /// stream takes no output.
    pub(in super::super) fn finish(&mut self, reply: Reply) -> Option<Waker> {
        self.finished.push(reply);
        self.driver.clone()
    }

    /// Ends an answer of which only a part is out: nobody wants the rest. False if it is not on its way.
    pub(in super::super) fn cancel_answer(&mut self, id: Id, leavings: &mut Leavings) -> bool {
        if !self.bulk_answers.remove(id) {
            return false;
        }
        let Some((begun, body)) = self.encoder.drop_bulk(id) else {
            return false;
        };
        leavings.drop_body(body);
        if begun {
            self.encoder.cancel(id, Reason::Dropped, &mut self.out);
        } else {
            let error = Error::new(
                Kind::Cancelled,
                "the call was cancelled before its answer was sent",
            );
            let lane = self
                .encoder
                .response(id, Err(&error.executed()), &mut self.out);
            debug_assert!(lane.is_ok(), "an error answer is shortened, not refused");
        }
        true
    }

    /// Answers a ping of the peer.
    pub(in super::super) fn pong(&mut self, nonce: u32) {
        let before = self.out.len();
        self.encoder.pong(nonce, &mut self.out);
        self.reflex_bytes += self.out.len() - before;
    }

    /// Whether the peer goes on sending what is answered at once and reads none of the answers.
    pub(in super::super) fn is_answered_in_vain(&self) -> bool {
        self.reflex_bytes > MAX_REFLEX_BYTES
    }

    /// An id that the peer used again before it had the whole answer.
    pub(in super::super) fn reused_id(&self) -> Option<Id> {
        self.reused
    }

    /// The bytes of answers that the driver has not taken.
    pub(in super::super) fn unsent_answers(&self) -> usize {
        self.out.len() + self.bulk_answers.sum()
    }
}

/// The bytes of an answer that may be many.
fn len(result: Result<&Response<Body>, &Error>) -> usize {
    match result {
        Ok(response) => response.body().len(),
        Err(error) => {
            let details = error.as_application().and_then(|it| it.details());
            details.map_or(0, |(_, bytes)| bytes.len())
        }
    }
}

/// Checks that an answer is in the encoding that was asked for, and has nothing that the wire cannot carry.
pub(in super::super) fn check(
    response: &Response<Body>,
    asked: Encoding,
    carried: Capabilities,
) -> Result<(), Error> {
    if !carried.metadata && !response.metadata().is_empty() {
        return Err(Error::new(Kind::Invalid, NO_METADATA).executed());
    }
    let given = response.body().encoding();
    if given.is_raw() || given == asked {
        return Ok(());
    }
    let text = format!(
        "the handler answered in {}, the call asks for {}",
        name(given),
        name(asked)
    );
    Err(Error::new(Kind::Internal, text).executed())
}
