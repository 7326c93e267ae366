//! What a batch does with an outbox: all of its calls are taken, or none.

use std::sync::Arc;

use steeple_layers::moment::Moment;

use super::{
    super::{
        inflight::Key,
        leavings::Leavings,
        options::{Options, Overflow},
        tray::Tray,
    },
    Outbox,
};
use crate::{Body, Error, Kind, Request, Response};

impl Outbox {
    /// Takes all calls and messages of a batch, in order; their answers go to the places of their numbers.
    ///
    /// If there is room for one message and slots for all calls, all are encoded at once: what the output then
    /// holds above its limit is the batch, whose bodies its caller held before. If not, all calls wait. A
    /// message that cannot be encoded fails alone.
    ///
    /// # Errors
    /// There is no room for all of them. None was taken.
    pub(in super::super) fn call_all(
        &mut self,
        requests: &mut Vec<Request<Body>>,
        now: Moment,
        tray: &Arc<Tray>,
        leavings: &mut Leavings,
    ) -> Result<Vec<Key>, Error> {
        let one_ways = requests.iter().filter(|it| it.cx().is_one_way()).count();
        let calls = requests.len() - one_ways;
        let at_once = self
            .room_for_all(calls, one_ways, leavings)
            .inspect_err(|error| {
                (0..calls).for_each(|_| self.stats.calls.count(Err(error.kind())));
            })?;
        let mut keys = Vec::with_capacity(calls);
        if at_once {
            for (number, request) in (0..).zip(&*requests) {
                let to = (tray, number);
                if request.cx().is_one_way() {
                    let result = self.encode_one_way(request).map(|()| Response::default());
                    leavings.deliver(Some(to.into()), result);
                    continue;
                }
                let deadline = request.cx().deadline_moment();
                if deadline != Moment::NONE && deadline <= now {
                    let text = "the deadline passed before the batch was sent";
                    let error = Error::new(Kind::Timeout, text);
                    self.stats.calls.count(Err(error.kind()));
                    leavings.deliver(Some(to.into()), Err(error));
                    continue;
                }
                match self.encode(request, now, to) {
                    Ok(key) => keys.push(key),
                    Err(error) => leavings.deliver(Some(to.into()), Err(error)),
                }
            }
        } else {
            for (number, request) in (0..).zip(requests.drain(..)) {
                let (to, request) = ((tray, number), Box::new(request));
                if request.cx().is_one_way() {
                    let result = self.encode_one_way(&request).map(|()| Response::default());
                    leavings.deliver(Some(to.into()), result);
                    leavings.drop_request(request);
                } else {
                    keys.push(self.enqueue(request, now, to));
                }
            }
        }
        Ok(keys)
    }

    /// Makes room for all messages of a batch. Whether they can be encoded at once; otherwise the calls wait.
    fn room_for_all(
        &mut self,
        calls: usize,
        one_ways: usize,
        leavings: &mut Leavings,
    ) -> Result<bool, Error> {
        self.check_open()?;
        let (max_calls, max_pending) = (self.limits.max_calls, self.limits.max_pending);
        let waits = self.limits.overflow == Overflow::Wait;
        if calls > max_calls && calls > max_pending && !waits {
            let text = format!(
                "a batch of {calls} calls is longer than max_calls of {max_calls} and max_pending of \
                 {max_pending}"
            );
            return Err(Error::new(Kind::Overflow, text));
        }
        let taken = self.calls.pending() + self.calls.owed();
        // A large message without an answer has an id, too.
        if taken + calls + one_ways > Options::MAX_CALLS {
            let limit = Options::MAX_CALLS;
            let text = format!(
                "{taken} calls have not ended, and with a batch of {calls} there would be more than the \
                 {limit} that have an id"
            );
            return Err(Error::new(Kind::Overflow, text));
        }
        if one_ways > 0 {
            self.check_room_for_one_way()?;
        }
        let room = self.has_room() && self.calls.pending() == 0;
        if room && self.calls.owed() + calls <= max_calls {
            return Ok(true);
        }
        self.make_room_to_wait(calls, leavings)?;
        Ok(false)
    }
}
