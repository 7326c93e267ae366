//! One end of a stream in memory.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use fastrand::Rng;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    connection::{Connection, Side},
    path::{Conditions, Path},
    pipe::Step,
};

/// One end of a stream in memory, which behaves like one of TCP.
///
/// Shutting it down ends one direction; the other goes on. Dropping it ends both: the peer reads what was
/// written and then the end. But if bytes of the peer were left unread, it reads a `ConnectionReset`, and
/// loses what had not arrived yet. Once the peer has learnt of the drop, writing fails with `BrokenPipe` or
/// `ConnectionReset`. A write never fails for want of a flush, and a flush has nothing to do.
#[derive(Debug)]
pub struct MemStream {
    connection: Arc<Connection>,
    side: Side,
    /// Armed while a read waits for bytes that are on their way.
    arrival: Timer,
    /// Armed while a write waits for room, and a word is on its way that the peer is gone.
    news: Timer,
}

/// Wakes at an instant, if there is one.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl MemStream {
    /// Two ends of a stream without a network: no faults, and at most `capacity` bytes, at least 1, in
    /// flight each way.
    pub fn pair(capacity: usize) -> (Self, Self) {
        let path = || {
            Arc::new(Path::new(Conditions {
                capacity: capacity.max(1),
                ..Conditions::default()
            }))
        };
        // Without faults there is no chance, so any seed does.
        let rng = &mut Rng::with_seed(0);
        Self::both_ends(Connection::new([path(), path()], rng))
    }

    /// First the end that connects.
    pub(super) fn both_ends(connection: Arc<Connection>) -> (Self, Self) {
        let end = |side| Self {
            connection: connection.clone(),
            side,
            arrival: Timer::default(),
            news: Timer::default(),
        };
        (end(Side::Connected), end(Side::Accepted))
    }
}

impl AsyncRead for MemStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let budget = ready!(coop::poll_proceed(cx));
        loop {
            match self.connection.read(self.side, cx.waker(), buf) {
                Step::Done(result) => {
                    budget.made_progress();
                    self.arrival.disarm();
                    return Poll::Ready(result);
                }
                Step::Wait(until) => ready!(self.arrival.poll(until, cx)),
            }
        }
    }
}

impl AsyncWrite for MemStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let budget = ready!(coop::poll_proceed(cx));
        loop {
            match self.connection.write(self.side, cx.waker(), slices) {
                Step::Done(result) => {
                    budget.made_progress();
                    self.news.disarm();
                    return Poll::Ready(result);
                }
                Step::Wait(until) => ready!(self.news.poll(until, cx)),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.shut(self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemStream {
    fn drop(&mut self) {
        self.connection.close(self.side);
    }
}

impl Timer {
    /// Ready at the instant. Without one it is never ready: a waker was left with the connection.
    fn poll(&mut self, until: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = until else {
            self.disarm();
            return Poll::Pending;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        ready!(sleep.as_mut().poll(cx));
        self.disarm();
        Poll::Ready(())
    }

    /// A timer left behind would move a paused clock to an instant that means nothing any more.
    fn disarm(&mut self) {
        self.0 = None;
    }
}
