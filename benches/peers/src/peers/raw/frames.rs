//! Frames in one reused buffer, which fills from a socket at the end and is eaten at the start.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::{io, mem};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use crate::peers::MAX_BODY;

/// How much one read asks for: what the socket holds after a batch of small frames, and more.
const READ: usize = 64 * 1024;
/// The length field.
const LEN: usize = 4;
/// The call's number.
const ID: usize = 8;
/// The number of a message that has no answer.
pub(super) const ONE_WAY: u64 = u64::MAX;
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
    buf: BytesMut,
    /// How much of `buf` has been handed out.
    eaten: usize,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            buf: BytesMut::with_capacity(READ),
            eaten: 0,
        }
    }

    /// Reads once, into spare capacity. Zero bytes are the end of the stream.
    pub(super) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
    ) -> Poll<io::Result<usize>> {
        self.buf.advance(mem::take(&mut self.eaten));
        let missing = self.announced()?.saturating_sub(self.buf.len());
        self.buf.reserve(missing.max(READ / 2));
        poll_read_buf(Pin::new(io), cx, &mut self.buf)
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Option<(u64, &[u8])> {
        let rest = &self.buf[self.eaten..];
        let [l0, l1, l2, l3, id @ ..] = *rest.first_chunk::<{ LEN + ID }>()?;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let payload = rest.get(LEN + ID..LEN + len)?;
        self.eaten += LEN + len;
        Some((u64::from_le_bytes(id), payload))
    }

    /// The length of the frame in front, head and all, or zero while that is not known.
    fn announced(&self) -> io::Result<usize> {
        let Some(len) = self.buf.first_chunk::<LEN>() else {
            return Ok(0);
        };
        let whole = LEN + u32::from_le_bytes(*len) as usize;
        if whole > MAX_FRAME {
            return Err(io::Error::other(format!(
                "a frame of {whole} bytes is over {MAX_FRAME}"
            )));
        }
        Ok(whole)
    }
}
