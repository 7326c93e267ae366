//! Writing: all output there is, in as few calls as the stream takes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    super::{cause::Cause, service::RpcService},
    Connection,
    end::End,
};
use crate::wire::Wire;

/// Writes in one turn, after which input has its turn again.
const WRITES_PER_TURN: usize = 16;

/// Slices in one vectored write. A body of its own and the header before it take two.
const SLICES_PER_WRITE: usize = 64;

/// Memory that an output keeps between two uses. What a burst needed above it is given back.
const KEPT: usize = 1024 * 1024;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Some,
    Nothing,
}

impl<Io, S, W> Connection<Io, S, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    S: RpcService,
    W: Wire,
{
    /// Writes and flushes as much as the stream takes now.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> Result<Written, End> {
        let mut written = Written::Nothing;
        for _ in 0..WRITES_PER_TURN {
            if self.writing.is_empty() {
                break;
            }
            match self.poll_write(cx) {
                Poll::Ready(Ok(0)) => return Err(self.write_error(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(bytes)) => {
                    self.writing.advance(bytes);
                    self.serving.wrote(bytes);
                    self.counted.bytes_written += bytes as u64;
                    self.counted.write_calls += 1;
                    self.state.wrote();
                    self.needs_flush = true;
                    written = Written::Some;
                }
                Poll::Ready(Err(error)) => return Err(self.write_error(error)),
                Poll::Pending => {
                    self.state.stalled(self.clock.tick(self.now));
                    return Ok(written);
                }
            }
        }
        if written == Written::Some && self.writing.is_empty() {
            self.writing.clear(KEPT);
            self.state.emptied(self.clock.tick(self.now));
        }
        if self.needs_flush && self.writing.is_empty() {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.state.wrote();
                    self.needs_flush = false;
                }
                Poll::Ready(Err(error)) => return Err(self.write_error(error)),
                Poll::Pending => self.state.stalled(self.clock.tick(self.now)),
            }
        }
        Ok(written)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let io = Pin::new(&mut self.io);
        if !io.is_write_vectored() || self.writing.chunk().len() == self.writing.len() {
            return io.poll_write(cx, self.writing.chunk());
        }
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let used = self.writing.chunks_vectored(&mut slices);
        io.poll_write_vectored(cx, &slices[..used])
    }

    fn write_error(&mut self, error: io::Error) -> End {
        self.counted.write_errors += 1;
        End::Lost(Cause::write(error))
    }
}
