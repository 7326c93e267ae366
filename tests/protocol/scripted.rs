//! A stream that is never in the way: it has all its input at once, takes what is written, and keeps count.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) struct Scripted {
    input: Vec<u8>,
    at: usize,
    /// Where the input begins again when it has come to its end.
    again: Option<usize>,
    /// How many bytes one write takes.
    takes: usize,
    seen: Arc<Mutex<Seen>>,
}

/// What was done with a stream.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) reads: usize,
    /// What each write took.
    pub(crate) writes: Vec<Vec<u8>>,
    /// The most writes between two reads.
    pub(crate) writes_in_a_row: usize,
    in_a_row: usize,
    /// The addresses of the slices of each vectored write.
    pub(crate) slices: Vec<Vec<usize>>,
}

impl Scripted {
    /// Gives this, and then nothing.
    pub(crate) fn new(input: impl Into<Vec<u8>>) -> Self {
        Self {
            input: input.into(),
            at: 0,
            again: None,
            takes: usize::MAX,
            seen: Arc::default(),
        }
    }

    /// Gives this behind the rest, again and again.
    pub(crate) fn endless(mut self, input: impl AsRef<[u8]>) -> Self {
        self.again = Some(self.input.len());
        self.input.extend_from_slice(input.as_ref());
        self
    }

    /// Takes so many bytes in one write.
    pub(crate) fn taking(mut self, bytes: usize) -> Self {
        self.takes = bytes;
        self
    }

    /// What will have been done with it.
    pub(crate) fn seen(&self) -> Arc<Mutex<Seen>> {
        self.seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut seen = self.lock();
        seen.reads += 1;
        seen.in_a_row = 0;
        drop(seen);
        let me = &mut *self;
        while buf.remaining() > 0 {
            if me.at == me.input.len() {
                match me.again {
                    Some(again) => me.at = again,
                    None => break,
                }
            }
            let len = buf.remaining().min(me.input.len() - me.at);
            buf.put_slice(&me.input[me.at..][..len]);
            me.at += len;
        }
        match buf.filled().is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut taken: Vec<u8> = slices.iter().flat_map(|it| it.iter().copied()).collect();
        taken.truncate(self.takes);
        let len = taken.len();
        let addresses = slices.iter().map(|it| it.as_ptr() as usize).collect();
        let mut seen = self.lock();
        seen.slices.push(addresses);
        seen.writes.push(taken);
        seen.in_a_row += 1;
        seen.writes_in_a_row = seen.writes_in_a_row.max(seen.in_a_row);
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
