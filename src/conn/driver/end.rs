//! The end of a connection: everybody is told, and the stream is closed so that the last bytes arrive.

use std::{
    borrow::Cow,
    future::Future,
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tower_service::Service;

use super::{
    super::{cause::Cause, clock::Tick, outbox::Wish, service::RpcService, shared::Status},
    Connection,
    write::Written,
};
use crate::{
    Body, Error, Request, events,
    wire::{Out, Reason, Violation, Wire},
};

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// Both sides have finished.
    Drained,
    /// The peer is gone, and nobody waited for anything.
    Eof(Cause),
    /// The stream is of no more use.
    Lost(Cause),
    /// The peer is told why.
    Tell(Cause, Reason),
}

/// A connection of which only the stream is left.
#[derive(Debug)]
pub(super) struct Closing {
    result: Result<(), Cause>,
    stage: Stage,
    /// When patience ends.
    until: Tick,
    /// How many more bytes of the peer are read and thrown away.
    discard: usize,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The last output goes out.
    Writing,
    /// The peer reads, and closes its side.
    Reading,
    /// The peer has left, and handlers of messages without an answer run: whoever waits for this task, as a server
    /// does that drains, is to lose none of them.
    Handling {
        /// Whether the stream was told that no more comes.
        shut: bool,
    },
    /// Nothing is left to do.
    Over,
}

/// How long the peer may take to read the last bytes and to close its side.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// How much of the peer's is read after the end. Closing a socket with unread input resets the connection, which
/// can destroy the last bytes on their way; a peer that sends more than this does not deserve better.
const MAX_DISCARD: usize = 4 * 1024 * 1024;

/// Reads in one poll, so that a fast peer does not keep the thread.
const DISCARDS_PER_POLL: usize = 16;

impl<Io, S, W> Connection<Io, S, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    S: RpcService,
    W: Wire,
{
    /// Ends a connection that was never wanted: the peer is told why.
    pub(in super::super) fn refuse(&mut self, reason: Reason, text: Cow<'static, str>) {
        self.end(End::Tell(Cause::lost(text), reason));
    }

    /// Ends all calls, and what the peer has called; the stream is closed by [`poll_close`](Self::poll_close).
    pub(super) fn end(&mut self, end: End) {
        tracing::debug!(target: events::CONN, role = ?self.role, ?end, "a connection ends");
        if let End::Tell(error, Reason::Protocol | Reason::Version) = &end {
            tracing::warn!(target: events::CONN, role = ?self.role, %error, "the connection is given up");
        }
        let (cause, stage, tell) = match end {
            End::Drained => (Cause::closed(), Stage::Writing, None),
            End::Tell(cause, reason) => (cause, Stage::Writing, Some(reason)),
            End::Eof(cause) => (cause.orderly(), Stage::Handling { shut: false }, None),
            End::Lost(cause) => (cause, Stage::Over, None),
        };
        self.closing = Some(Closing {
            result: if cause.is_orderly() {
                Ok(())
            } else {
                Err(cause.clone())
            },
            stage,
            until: self.clock.tick(self.now).after(CLOSE_GRACE),
            discard: MAX_DISCARD,
        });
        self.finish(cause, matches!(stage, Stage::Writing), tell);
    }

    /// Closes the stream: writes what is left, says that no more comes, and reads until the peer does.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let closed = self.poll_close_stream(cx);
        mem::take(&mut self.counted).add_to(&mut self.shared.outbox());
        if closed.is_pending() && !self.is_patience_over(cx) {
            return Poll::Pending;
        }
        let result = self.closing.as_mut().map_or(Ok(()), |closing| {
            closing.stage = Stage::Over;
            closing.result.clone()
        });
        Poll::Ready(result.map_err(|cause| cause.error(true)))
    }

    fn poll_close_stream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(closing) = &mut self.closing else {
                return Poll::Ready(());
            };
            match closing.stage {
                Stage::Over => return Poll::Ready(()),
                Stage::Writing => {
                    if self.writing.is_empty() && !self.needs_flush {
                        self.shared.outbox().swap(&mut self.writing, self.now);
                    }
                    match self.write(cx) {
                        Err(_) => return Poll::Ready(()),
                        Ok(Written::Some) => continue,
                        Ok(Written::Nothing) if !self.writing.is_empty() || self.needs_flush => {
                            return Poll::Pending;
                        }
                        Ok(Written::Nothing) => {}
                    }
                    let shut = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
                    let next = if shut.is_ok() {
                        Stage::Reading
                    } else {
                        Stage::Over
                    };
                    if let Some(closing) = &mut self.closing {
                        closing.stage = next;
                    }
                }
                Stage::Reading => return self.poll_discard(cx),
                Stage::Handling { .. } => return self.poll_handlers(cx),
            }
        }
    }

    /// Reads and throws away, until the peer has closed its side.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(closing) = &mut self.closing else {
            return Poll::Ready(());
        };
        self.input = BytesMut::new();
        for _ in 0..DISCARDS_PER_POLL {
            self.input.clear();
            self.input.reserve(self.settings.read_buffer);
            match ready!(pin!(self.io.read_buf(&mut self.input)).poll(cx)) {
                Ok(bytes) if bytes > 0 && bytes <= closing.discard => {
                    closing.discard -= bytes;
                    self.counted.bytes_read += bytes as u64;
                    self.counted.read_calls += 1;
                }
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for handlers that run on: until they have ended, or, if this side is to drain, its grace is over.
    fn poll_handlers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(closing) = &mut self.closing else {
            return Poll::Ready(());
        };
        let mut outbox = self.shared.outbox();
        for reply in outbox.drain_finished() {
            self.serving.finished(reply);
        }
        outbox.stats_mut().handling = self.serving.running() as u64;
        let wish = outbox.wish();
        drop(outbox);
        if self.serving.running() == 0 || wish == Wish::Close {
            return Poll::Ready(());
        }
        if wish == Wish::Drain && !self.state.has_said_goodbye() {
            self.state.say_goodbye(self.clock.tick(self.now));
        }
        closing.until = self.state.grace_ends();
        if let Stage::Handling { shut: shut @ false } = &mut closing.stage {
            self.input = BytesMut::new();
            *shut = Pin::new(&mut self.io).poll_shutdown(cx).is_ready();
        }
        Poll::Pending
    }

    fn is_patience_over(&mut self, cx: &mut Context<'_>) -> bool {
        let until = self
            .closing
            .as_ref()
            .map_or(Tick::NEVER, |closing| closing.until);
        if self.clock.tick(self.now) >= until {
            return true;
        }
        self.wanted = until;
        // What the timer was set to before the end means nothing any more.
        self.armed = Tick::NEVER;
        self.arm(cx)
    }
}

impl<Io, S, W> Connection<Io, S, W>
where
    S: Service<Request<Body>>,
    W: Wire,
{
    /// Ends at once what has not ended, and gives memory back.
    pub(super) fn abort(&mut self) {
        if self.closing.is_none() {
            self.finish(
                Cause::lost("the connection's task was dropped"),
                false,
                None,
            );
        }
        // In two steps: what is dropped here may be the user's, and the lock is free by then.
        let unwritten = self.shared.outbox().release();
        drop(unwritten);
    }

    /// Tells everybody on this side. If the stream is still `usable`, the output that is left goes out.
    fn finish(&mut self, cause: Cause, usable: bool, tell: Option<Reason>) {
        let shared = self.shared.clone();
        let mut outbox = shared.outbox();
        mem::take(&mut self.counted).add_to(&mut outbox);
        // Out of the way of another end, should this one panic.
        let mut results = mem::take(&mut self.results);
        for answer in &mut results {
            outbox.answered(answer, &mut self.leavings);
        }
        let answers = mem::take(&mut self.answers);
        for (reply, result) in &answers {
            outbox.answer(*reply, result.as_ref());
        }
        let text = cause.to_string();
        let orderly = tell.is_none() && cause.is_orderly();
        outbox.close(cause, &self.writing, usable, &mut self.leavings);
        let mut discarded = Out::default();
        if let Some(reason) = tell
            && self.settings.can_drain
        {
            if reason != Reason::Now && !self.writing.is_empty() {
                // The stream is slow, and behind all that waits for it the reason would not arrive in time.
                discarded = outbox.discard();
            }
            outbox.control(|encoder, out| encoder.go_away(reason, &text, out));
        }
        outbox.stats_mut().handling = 0;
        drop(outbox);
        // First those who must know, then what may run code of the user's.
        self.shared.reach(Status::Closed);
        self.leavings.settle_with(&mut results);
        self.serving.stop_all(orderly);
        drop((answers, discarded));
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        let reason = violation.reason();
        Self::Tell(Cause::violation(violation), reason)
    }
}
