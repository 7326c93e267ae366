//! Frames in one reused buffer, which fills from a socket at the end and is eaten at the start.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::peers::MAX_BODY;

/// How much one read asks for: what the socket holds after a batch of small frames, and more.
const READ: usize = 64 * 1024;
/// The length field.
const LEN: usize = 4;
/// The call's number.
const ID: usize = 8;
/// A longer frame is an error.
const MAX_FRAME: usize = LEN + ID + MAX_BODY;

/// Appends one frame.
pub(super) fn put(out: &mut Vec<u8>, id: u64, payload: &[u8]) {
    let len = u32::try_from(ID + payload.len()).expect("a payload of at most MAX_FRAME");
    let mut head = [0; LEN + ID];
    head[..LEN].copy_from_slice(&len.to_le_bytes());
    head[LEN..].copy_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
}

/// Received bytes that are not yet whole frames.
pub(super) struct Frames {
    buf: Vec<u8>,
    start: usize,
    end: usize,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            buf: vec![0; READ],
            start: 0,
            end: 0,
        }
    }

    /// Reads once into the free end of the buffer. Zero bytes are the end of the stream.
    pub(super) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
    ) -> Poll<io::Result<usize>> {
        self.make_room()?;
        let mut free = ReadBuf::new(&mut self.buf[self.end..]);
        ready!(Pin::new(io).poll_read(cx, &mut free))?;
        let read = free.filled().len();
        self.end += read;
        Poll::Ready(Ok(read))
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Option<(u64, &[u8])> {
        let head = self.buf[self.start..self.end].first_chunk::<{ LEN + ID }>()?;
        let [l0, l1, l2, l3, id @ ..] = *head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (from, to) = (self.start + LEN + ID, self.start + LEN + len);
        if to > self.end {
            return None;
        }
        self.start = to;
        Some((u64::from_le_bytes(id), self.buf.get(from..to)?))
    }

    /// Moves what is left to the front, and grows for a frame that is longer than the buffer.
    fn make_room(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let Some(len) = self.buf[self.start..self.end].first_chunk::<LEN>() else {
            return Ok(self.slide(READ / 2));
        };
        let whole = LEN + u32::from_le_bytes(*len) as usize;
        if whole > MAX_FRAME {
            return Err(io::Error::other(format!(
                "a frame of {whole} bytes is over {MAX_FRAME}"
            )));
        }
        self.slide(whole.max(READ / 2));
        if self.buf.len() < whole {
            self.buf.resize(whole, 0);
        }
        Ok(())
    }

    /// Slides only if fewer than `wanted` bytes fit behind `start`: a memmove per read would cost more than it saves.
    fn slide(&mut self, wanted: usize) {
        if self.buf.len() - self.start < wanted {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}
