//! Streams that are watched, or cut short.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use steeple::transport::mem::MemStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, and what becomes of the bytes that pass it.
pub(crate) struct Tapped<T> {
    pub(crate) inner: MemStream,
    pub(crate) tap: T,
}

/// What is done with the bytes that pass a stream: nothing, unless told.
pub(crate) trait Tap: Unpin {
    /// A read has room for so many.
    fn reads(&mut self, _room: usize) {}

    /// How many of so many a write may take.
    fn allows(&mut self, len: usize) -> io::Result<usize> {
        Ok(len)
    }

    /// A write has taken these.
    fn took(&mut self, _bytes: &[u8]) {}
}

impl<T: Tap> AsyncRead for Tapped<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tap.reads(buf.remaining());
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: Tap> AsyncWrite for Tapped<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = self.tap.allows(bytes.len())?;
        let poll = Pin::new(&mut self.inner).poll_write(cx, &bytes[..len]);
        if let Poll::Ready(Ok(len)) = poll {
            self.tap.took(&bytes[..len]);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
