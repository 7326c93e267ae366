//! The one timer of a connection.

use std::{future::Future, mem, pin::Pin, task::Context};

use steeple_layers::moment::Moment;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep_until},
};

use super::{
    super::{clock::Tick, outbox::Outbox, service::RpcService, state::Action},
    Connection,
    end::End,
};
use crate::wire::{Decoder, Wire};

/// The nonce of the connection's own pings; those of users have others.
const KEEPALIVE_NONCE: u32 = 0;

/// Memory that an idle connection keeps for its output, in bytes.
const KEPT_IDLE: usize = 1024;

impl<Io, S, W> Connection<Io, S, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    S: RpcService,
    W: Wire,
{
    /// Does what is due, if the timer has fired or is about to.
    pub(super) fn check_time(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        if self.armed == Tick::NEVER {
            return Ok(());
        }
        let fired = |timer: &mut Pin<Box<Sleep>>| timer.as_mut().poll(cx).is_ready();
        let due = self.clock.tick(self.now) >= self.armed;
        if !due && !self.timer.as_mut().is_some_and(fired) {
            return Ok(());
        }
        self.armed = Tick::NEVER;
        self.now = Moment::now();
        let now = self.clock.tick(self.now);
        self.serving.expire(now, &mut self.answers);
        let mut outbox = self.shared.outbox();
        outbox.expire(now, &mut self.leavings);
        while let Some(action) = self.state.act(now, || outbox.calls().oldest()) {
            match action {
                Action::End(cause, reason) => return Err(End::Tell(cause, reason)),
                Action::Ping => {
                    outbox.control(|encoder, out| encoder.ping(KEEPALIVE_NONCE, out));
                    // Nothing has come for a while: a good time to hold less.
                    outbox.shrink();
                    self.decoder.shrink();
                    self.results.shrink_to_fit();
                    self.answers.shrink_to_fit();
                    if self.writing.is_empty() {
                        self.writing.clear(KEPT_IDLE);
                    }
                }
            }
        }
        drop(outbox);
        // Its memory goes as well.
        drop(mem::take(&mut self.leavings));
        Ok(())
    }

    /// Sets the timer to when it is wanted, unless it fires before that. Whether it has fired already.
    pub(super) fn arm(&mut self, cx: &mut Context<'_>) -> bool {
        if self.wanted >= self.armed {
            return false;
        }
        let Some(at) = self.clock.instant(self.wanted) else {
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        timer.as_mut().reset(at);
        self.armed = self.wanted;
        timer.as_mut().poll(cx).is_ready()
    }

    /// When the timer is next needed.
    pub(super) fn next_time(&self, outbox: &Outbox) -> Tick {
        let delayed = self.delayed_until.unwrap_or(Tick::NEVER);
        let calls = outbox.calls().earliest().min(self.serving.earliest());
        self.state.next().min(calls).min(delayed)
    }
}
