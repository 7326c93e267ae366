//! Streams of which is counted what is done with them.

use std::{
    future::ready,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use steeple::transport::{Io, Opened, Wrap};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::service_fn;

/// What was done with the streams of a wrapper.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    read: AtomicUsize,
    written: AtomicUsize,
    writes: AtomicUsize,
    flushes: AtomicUsize,
}

pub(crate) struct Counted<I> {
    io: I,
    counts: Arc<Inner>,
}

impl Counts {
    pub(crate) fn wrap<I: Io>(&self) -> impl Wrap<I, Io = Counted<I>> + use<I> {
        let counts = self.0.clone();
        service_fn(move |stream: Opened<I>| {
            let counts = counts.clone();
            ready(Ok::<_, io::Error>(stream.map(|io| Counted { io, counts })))
        })
    }

    /// Bytes.
    pub(crate) fn read(&self) -> usize {
        self.0.read.load(Ordering::SeqCst)
    }

    /// Bytes.
    pub(crate) fn written(&self) -> usize {
        self.0.written.load(Ordering::SeqCst)
    }

    /// Writes that took something.
    pub(crate) fn writes(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Flushes that came to their end.
    pub(crate) fn flushes(&self) -> usize {
        self.0.flushes.load(Ordering::SeqCst)
    }
}

impl<I: Io> AsyncRead for Counted<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.counts.read.fetch_add(read, Ordering::SeqCst);
        poll
    }
}

impl<I: Io> AsyncWrite for Counted<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(taken)) = poll {
            self.counts.written.fetch_add(taken, Ordering::SeqCst);
            self.counts.writes.fetch_add(1, Ordering::SeqCst);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_flush(cx);
        if poll.is_ready() {
            self.counts.flushes.fetch_add(1, Ordering::SeqCst);
        }
        poll
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
