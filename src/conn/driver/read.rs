//! Reading: bytes into frames, frames to where they belong.

use std::{
    future::Future,
    io, mem,
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BufMut;
use steeple_layers::moment::Moment;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{
    super::{
        answer::Answer, buffer, cause::Cause, job::Reply, service::RpcService, serving::Cancelled,
        shared::Status, window::Window,
    },
    Connection,
    end::End,
};
use crate::{
    Body, Encoding, Error, Execution, Kind, Request, events,
    wire::{Decoder, Frame, Id, Reason, Role, Violation, Wire},
};

/// Frames that are decoded in one turn. More would keep answers from the peer that are ready.
const FRAMES_PER_TURN: usize = 256;

/// Reads for the last words of a peer. They are behind what it has sent before, of which more than this is not looked
/// through.
const LAST_READS: usize = 16;

impl<Io, S, W> Connection<Io, S, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    S: RpcService,
    W: Wire,
{
    /// Reads once and deals with what came. Whether anything did.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let before = self.decoder.frames();
        let mut frames = 0;
        if !mem::take(&mut self.more_frames) {
            let (bytes, refused) = match self.poll_input(cx) {
                Poll::Ready(Ok((0, _))) => return Err(self.end_of_input()),
                Poll::Ready(Ok(read)) => read,
                Poll::Ready(Err(end)) => return Err(end),
                Poll::Pending => {
                    buffer::settle(&mut self.input);
                    return Ok(false);
                }
            };
            self.counted.bytes_read += bytes as u64;
            self.counted.read_calls += 1;
            self.state.came(bytes);
            self.now = Moment::now();
            if let Some(frame) = refused {
                frames += 1;
                self.frame(frame, cx)?;
            }
        }
        while frames < FRAMES_PER_TURN {
            // Taken apart where it is returned: each way that a whole frame goes is a copy of it.
            match self.decoder.decode(&mut self.input) {
                Ok(Some(Frame::Response { id, result })) => {
                    self.results.push(Answer::new(id, result));
                }
                Ok(Some(Frame::Request {
                    id,
                    remaining,
                    request,
                })) => self.request(id, remaining, request, cx)?,
                Ok(Some(frame)) => self.frame(frame, cx)?,
                Ok(None) => break,
                Err(violation) => return Err(violation.into()),
            }
            frames += 1;
        }
        self.more_frames = frames == FRAMES_PER_TURN;
        let between = self.input.is_empty() && self.decoder.is_between_frames();
        let whole = self.decoder.frames() > before;
        let unfinished = self.decoder.unfinished();
        let now = self.clock.tick(self.now);
        self.state.read(now, whole, between, unfinished);
        Ok(true)
    }

    /// What the peer said before it closed a stream that cannot be written any more: a farewell, or an alert of TLS, says
    /// why, and a failed write does not.
    pub(super) fn last_words(&mut self, cx: &mut Context<'_>) -> Option<End> {
        (0..LAST_READS).find_map(|_| match self.read(cx) {
            Ok(true) => None,
            Ok(false) => Some(None),
            Err(end) => Some(Some(end)),
        })?
    }

    /// Reads into the body that the decoder is in the middle of, or into the input. How much, and the frame that
    /// it made.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Result<(usize, Option<Frame>), End>> {
        let room = match self.input.is_empty() {
            true => self.decoder.room(),
            false => None,
        };
        let in_place = room.is_some();
        let poll = match room {
            Some((body, len)) => {
                let mut room = body.limit(len.min(self.settings.read_buffer));
                pin!(self.io.read_buf(&mut room)).poll(cx)
            }
            None => {
                buffer::fit(&mut self.input, self.settings.read_buffer);
                // What the thread has lent may be larger than what this connection wants.
                let mut room = (&mut self.input).limit(self.settings.read_buffer);
                pin!(self.io.read_buf(&mut room)).poll(cx)
            }
        };
        let bytes = match ready!(poll) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.counted.read_errors += 1;
                return Poll::Ready(Err(match error.kind() {
                    // The stream works, and makes no sense: what decompresses it, say, can make nothing of it.
                    io::ErrorKind::InvalidData => {
                        End::Tell(Cause::unreadable(error), Reason::Protocol)
                    }
                    _ => End::Lost(Cause::read(error)),
                }));
            }
        };
        let frame = match in_place {
            true => self.decoder.took(bytes, &mut self.input)?,
            false => None,
        };
        Poll::Ready(Ok((bytes, frame)))
    }

    #[inline(always)]
    fn request(
        &mut self,
        id: Id,
        remaining: Option<Duration>,
        mut request: Request<Body>,
        cx: &mut Context<'_>,
    ) -> Result<(), Violation> {
        if let Some(remaining) = remaining {
            let deadline = self.now.after(remaining).unwrap_or(Moment::NONE);
            request.cx_mut().set_deadline_moment(deadline);
        }
        self.serving.request(id, request, cx, &mut self.answers)
    }

    fn frame(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        match frame {
            Frame::Response { id, result } => self.results.push(Answer::new(id, result)),
            Frame::Request {
                id,
                remaining,
                request,
            } => self.request(id, remaining, request, cx)?,
            Frame::OneWay(request) => {
                self.serving.one_way(request, cx, &mut self.answers);
                self.counted.one_way_received += 1;
            }
            Frame::Refused { id, error } => {
                self.serving.check_id(id)?;
                self.answers
                    .push((Reply::To(id, Encoding::RAW), Err(error)));
            }
            Frame::Cancel { id, .. } => match self.serving.cancel(id) {
                Cancelled::Stopping => {}
                Cancelled::Waiting => {
                    let error = Error::new(
                        Kind::Cancelled,
                        "the call was cancelled before its handler began",
                    )
                    .with_execution(Execution::NotStarted);
                    self.answers
                        .push((Reply::To(id, Encoding::RAW), Err(error)));
                }
                // Perhaps its answer is on its way.
                Cancelled::Unknown => self.cancels.push(id),
            },
            Frame::Ping(nonce) => {
                self.state.ping(self.clock.tick(self.now))?;
                self.pings.push(nonce);
            }
            Frame::Pong(nonce) => {
                self.state.pong();
                match Window::is_mark(nonce) {
                    true => self.marks.push(nonce),
                    false => self.shared.pong(nonce),
                }
            }
            Frame::GoAway { reason, text } => {
                tracing::debug!(target: events::CONN, ?reason, text, "the peer goes away");
                let now = self.clock.tick(self.now);
                self.state
                    .go_away(now, reason, &text)
                    .map_err(|cause| match reason {
                        Reason::Now => End::Eof(cause),
                        _ => End::Lost(cause),
                    })?;
            }
            Frame::Offer => self.shared.outbox().preface(),
            Frame::Hello(hello) => {
                tracing::debug!(target: events::CONN, agent = hello.agent, "the peer has opened");
                self.state.opened();
                self.shared.peer_hello(&hello);
                let mut outbox = self.shared.outbox();
                outbox.peer_hello(&hello);
                if self.role == Role::Acceptor {
                    outbox.open();
                }
                drop(outbox);
                self.shared.reach(Status::Open);
            }
        }
        Ok(())
    }

    /// What the end of the input means: nothing, if nobody waits for anything.
    fn end_of_input(&mut self) -> End {
        let cause = match self.state.is_left() {
            true => Cause::left(),
            false => Cause::lost("the peer closed the connection"),
        };
        let between = self.input.is_empty() && self.decoder.is_between_frames();
        let idle = !self.serving.is_owing() && self.shared.outbox().calls().is_idle();
        match idle && between {
            true => End::Eof(cause),
            false => End::Lost(cause),
        }
    }
}
