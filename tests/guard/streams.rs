//! Streams in memory that count what passes, and how a server gets them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use steeple::{Address, transport::Listener};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// As much as the buffers of a socket take.
const CAPACITY: usize = 256 * 1024;

/// What one side has done with its stream.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// How often it asked for bytes, whether or not there were any: at least once whenever its task runs.
    pub(crate) reads: AtomicU64,
    /// How often it gave bytes away.
    pub(crate) writes: AtomicU64,
    /// How many it gave away.
    pub(crate) bytes: AtomicU64,
}

/// One end of a stream.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: DuplexStream,
    traffic: Arc<Traffic>,
}

/// A listener whose clients are the ends that it is sent.
pub(crate) struct Incoming(UnboundedReceiver<Counted>);

/// Both ends of a stream.
pub(crate) fn pair(near: &Arc<Traffic>, far: &Arc<Traffic>) -> (Counted, Counted) {
    let counted = |(inner, traffic): (_, &Arc<_>)| Counted {
        inner,
        traffic: Arc::clone(traffic),
    };
    let ends = duplex(CAPACITY);
    (counted((ends.0, near)), counted((ends.1, far)))
}

/// A listener, and where to send it clients.
pub(crate) fn incoming() -> (UnboundedSender<Counted>, Incoming) {
    let (sender, receiver) = unbounded_channel();
    (sender, Incoming(receiver))
}

impl Counted {
    fn wrote(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = poll {
            self.traffic.writes.fetch_add(1, Relaxed);
            self.traffic.bytes.fetch_add(bytes as u64, Relaxed);
        }
        poll
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.traffic.reads.fetch_add(1, Relaxed);
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.wrote(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Listener for Incoming {
    type Io = Counted;

    async fn accept(&mut self) -> io::Result<(Counted, Address)> {
        let stream = self.0.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((stream, Address::Other("a client".into())))
    }

    fn local_address(&self) -> Address {
        Address::Other("inside".into())
    }
}
