//! The one lock of a turn: what was read goes to callers, what is to be written comes from them.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    super::{
        cause::Cause,
        clock::Tick,
        outbox::{Outbox, Wish},
        service::RpcService,
        shared::Status,
    },
    Connection, Counted,
    end::End,
    gather::Company,
};
use crate::{
    events,
    wire::{Reason, Role, Violation, Wire},
};

/// With this much output ready, a flush delay ends early: more would not make the write cheaper.
const DELAYED_AT_MOST: usize = 64 * 1024;

impl<Io, S, W> Connection<Io, S, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    S: RpcService,
    W: Wire,
{
    /// Exchanges what was read for what is to be written. True if others are to be let go before the output is
    /// taken away.
    pub(super) fn exchange(&mut self) -> Result<bool, End> {
        let shared = self.shared.clone();
        let mut outbox = shared.outbox();
        let result = self.exchange_with(&mut outbox);
        drop(outbox);
        self.answers.clear();
        self.leavings.settle_with(&mut self.results);
        result
    }

    fn exchange_with(&mut self, outbox: &mut Outbox) -> Result<bool, End> {
        std::mem::take(&mut self.counted).add_to(outbox);
        let answered = self.results.len();
        if answered > 0 {
            self.state.answered(self.clock.tick(self.now));
            self.gather.answering(outbox.calls().owed());
        }
        for answer in &mut self.results {
            outbox.answered(answer, &mut self.leavings);
        }
        for (reply, result) in &self.answers {
            outbox.answer(*reply, result.as_ref());
        }
        for reply in outbox.drain_finished() {
            self.serving.finished(reply);
        }
        outbox.stats_mut().handling = self.serving.under_way() as u64;
        for id in self.cancels.drain(..) {
            if !outbox.cancel_answer(id, &mut self.leavings) {
                outbox.stats_mut().late_cancels += 1;
            }
        }
        for nonce in self.pings.drain(..) {
            outbox.pong(nonce);
        }
        for nonce in self.marks.drain(..) {
            outbox.read_to(nonce, self.now);
        }
        if let Some(id) = outbox.reused_id() {
            return Err(Violation::new(format!("the id {id:?} is in use")).into());
        }
        if outbox.is_answered_in_vain() {
            let cause = Cause::lost(
                "the peer reads nothing of what refuses its requests and answers its pings",
            );
            return Err(End::Tell(cause, Reason::Limit));
        }
        self.drain(outbox)?;
        outbox.promote(self.now, &mut self.leavings);
        self.serving
            .set_unsent(self.writing.len() + outbox.unsent_answers());

        if !outbox.has_output() {
            // What was delayed may have been taken back.
            self.delayed_until = None;
        }
        if !self.writing.is_empty() {
            self.sleep(outbox, false);
            return Ok(false);
        }
        if !outbox.has_output() {
            if self.gather.before(answered) {
                outbox.set_now(self.now);
                return Ok(true);
            }
            self.sleep(outbox, true);
            return Ok(false);
        }
        if self.waits_for_more(outbox) {
            self.sleep(outbox, true);
            return Ok(false);
        }
        let company = Company {
            calls: outbox.calls().owed(),
            handlers: self.serving.running(),
        };
        if self.gather.more(outbox.output_len(), company) {
            outbox.set_now(self.now);
            return Ok(true);
        }
        self.gather.taken();
        self.delayed_until = None;
        outbox.swap(&mut self.writing, self.now);
        self.state.swapped();
        self.sleep(outbox, self.writing.is_empty());
        Ok(false)
    }

    /// Leaves word of what this task waits for.
    fn sleep(&mut self, outbox: &mut Outbox, for_output: bool) {
        self.wanted = self.next_time(outbox);
        outbox.sleep(for_output, self.wanted.min(self.armed));
    }

    /// Whether the output is to wait for more of it.
    fn waits_for_more(&mut self, outbox: &Outbox) -> bool {
        if self.settings.flush_delay.is_zero() || outbox.output_len() >= DELAYED_AT_MOST {
            return false;
        }
        let until = self.now.after(self.settings.flush_delay);
        let until = until.map_or(Tick::NEVER, |until| self.clock.deadline(until));
        let until = *self.delayed_until.get_or_insert(until);
        self.clock.tick(self.now) < until
    }

    /// Goes a step further in ending the connection in order, if that is wanted.
    fn drain(&mut self, outbox: &mut Outbox) -> Result<(), End> {
        let now = self.clock.tick(self.now);
        match outbox.wish() {
            Wish::Run => {}
            Wish::Close => return Err(End::Tell(Cause::closed(), Reason::Now)),
            // A peer that has not opened yet is told that nothing of it was looked at.
            Wish::Drain if self.role == Role::Acceptor && !self.state.is_opened() => {
                return Err(End::Tell(Cause::closed(), Reason::Shutdown));
            }
            Wish::Drain if !self.state.has_said_goodbye() => {
                outbox.drain(false, &mut self.leavings);
                if self.settings.can_drain {
                    outbox.control(|encoder, out| encoder.go_away(Reason::Shutdown, "", out));
                }
                self.state.say_goodbye(now);
                tracing::debug!(target: events::CONN, role = ?self.role, "a connection drains");
                self.shared.reach(Status::Draining);
            }
            Wish::Drain => {}
        }
        if self.state.owes_acknowledgement() {
            outbox.drain(true, &mut self.leavings);
            self.shared.reach(Status::Draining);
            // It promises that no request follows, and one in chunks may still begin; and that nothing of the
            // peer's is lost when it closes.
            if !outbox.is_chunking_requests() && !self.serving.is_waiting() {
                outbox.control(|encoder, out| encoder.go_away(Reason::Ack, "", out));
                self.state.acknowledged();
            }
        }
        let drained = self.state.is_drained() || !self.settings.can_drain;
        let nothing_left = outbox.calls().is_idle()
            && self.serving.is_idle()
            && !outbox.has_output()
            && !outbox.is_chunking()
            && self.writing.is_empty()
            && !self.needs_flush;
        match self.state.has_said_goodbye() && drained && nothing_left {
            true => Err(End::Drained),
            false => Ok(()),
        }
    }
}

impl Counted {
    /// Adds what was counted to what is known.
    pub(super) fn add_to(self, outbox: &mut Outbox) {
        let stats = outbox.stats_mut();
        stats.bytes_read += self.bytes_read;
        stats.read_calls += self.read_calls;
        stats.read_errors += self.read_errors;
        stats.bytes_written += self.bytes_written;
        stats.write_calls += self.write_calls;
        stats.write_errors += self.write_errors;
        stats.one_way_received += self.one_way_received;
    }
}
