//! A stream that is compressed on its way.

use std::{
    future::Future,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::codec::{Algorithm, Decoder, Encoder};

/// A stream compressed in one direction, in both or in none.
///
/// A read of what cannot be decompressed fails. What comes behind it is thrown away, and reads wait for the end: so it is
/// closed in order, and what this side has said of it arrives.
#[derive(Debug)]
pub struct Compressed<I> {
    io: I,
    outgoing: Option<Outgoing>,
    incoming: Option<Incoming>,
    /// What was read already of a stream that is not compressed.
    begun: Vec<u8>,
}

#[derive(Debug)]
struct Outgoing {
    encoder: Encoder,
    output: Vec<u8>,
    /// How much of the output the stream has taken.
    taken: usize,
    /// How much was encoded since the last flush.
    unflushed: usize,
    /// How much output that has made.
    made: usize,
    /// How much is encoded before it is flushed although more is there.
    piece: usize,
    /// Whether anything was encoded since the timer was set.
    in_use: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the output has to leave although nobody flushes: it says that the encoder rests.
    telling: bool,
    /// Who waits for the stream to take output. The stream knows one task that does, and while the encoder's rest is
    /// told, that is the reader's.
    writer: Option<Waker>,
    /// Whether this side has ended its direction.
    shut: bool,
}

#[derive(Debug)]
struct Incoming {
    decoder: Decoder,
    input: Vec<u8>,
    /// How much of the input is decoded.
    used: usize,
    /// Whether the decoder has more to give, with or without input.
    more: bool,
    /// Whether the input has made no sense.
    broken: bool,
    read: u64,
    made: u64,
}

/// Output that waits for the stream, beyond which nothing more is encoded.
const MAX_OUTPUT: usize = 64 * 1024;

/// How much is encoded between two flushes at most.
const PIECE: usize = 16 * 1024;

/// The same after a piece that became almost nothing: so that even zeros stay below [`Decoder::max_ratio`], since each flush
/// costs four bytes at least.
const SHORT_PIECE: usize = 4 * 1024;

/// From this ratio on a piece became almost nothing.
const HIGH_RATIO: usize = 256;

/// What may come out before the ratio is looked at.
const FREE: u64 = 1024 * 1024;

/// How much compressed input is read at a time.
const READ: usize = 8 * 1024;

/// Reads in one poll that give nothing yet. A compressor that is flushed makes something of every read.
const READS_PER_POLL: usize = 16;

impl<I> Compressed<I> {
    pub(super) fn new(io: I, outgoing: Option<Algorithm>, incoming: Option<Algorithm>) -> Self {
        Self {
            io,
            outgoing: outgoing.map(|it| Outgoing::new(Encoder::new(it))),
            incoming: incoming.map(|it| Incoming::new(Decoder::new(it))),
            begun: Vec::new(),
        }
    }

    /// Not compressed at all; `begun` was read of it already.
    pub(super) fn plain(io: I, begun: Vec<u8>) -> Self {
        Self {
            io,
            outgoing: None,
            incoming: None,
            begun,
        }
    }
}

impl<I: AsyncRead + Unpin> Compressed<I> {
    fn poll_input(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let Some(incoming) = &mut self.incoming else {
            if self.begun.is_empty() {
                return Pin::new(&mut self.io).poll_read(cx, buf);
            }
            let len = self.begun.len().min(buf.remaining());
            buf.put_slice(&self.begun[..len]);
            self.begun.drain(..len);
            return Poll::Ready(Ok(()));
        };
        for _ in 0..READS_PER_POLL {
            if incoming.decode(buf)? || !ready!(incoming.poll_fill(&mut self.io, cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Compressed<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let poll = me.poll_input(cx, buf);
        if poll.is_pending()
            && let Some(outgoing) = &mut me.outgoing
            && let Poll::Ready(Err(error)) = outgoing.poll_rest(&mut me.io, cx)
        {
            return Poll::Ready(Err(error));
        }
        poll
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Compressed<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        match &mut me.outgoing {
            Some(outgoing) => outgoing.poll_write(&mut me.io, cx, slices),
            None => Pin::new(&mut me.io).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.outgoing.is_some() || self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        match &mut me.outgoing {
            Some(outgoing) => outgoing.poll_flush(&mut me.io, cx),
            None => Pin::new(&mut me.io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.shut = true;
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Outgoing {
    fn new(encoder: Encoder) -> Self {
        Self {
            encoder,
            output: Vec::new(),
            taken: 0,
            unflushed: 0,
            made: 0,
            piece: PIECE,
            in_use: false,
            timer: None,
            telling: false,
            writer: None,
            shut: false,
        }
    }

    /// Encodes as much as there is room for.
    fn poll_write<I>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>
    where
        I: AsyncWrite + Unpin,
    {
        if self.output.len() >= MAX_OUTPUT {
            let poll = self.poll_drain(io, cx);
            ready!(self.noted(poll, cx))?;
        }
        let mut taken = 0;
        for slice in slices {
            let mut rest: &[u8] = slice;
            while !rest.is_empty() && self.output.len() < MAX_OUTPUT {
                let used = self.encode(rest)?;
                taken += used;
                rest = &rest[used..];
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Flushes the encoder, and then the stream.
    fn poll_flush<I>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        I: AsyncWrite + Unpin,
    {
        self.flush()?;
        let poll = self.poll_out(io, cx);
        self.noted(poll, cx)
    }

    /// Encodes some of what there is, and tells how much.
    fn encode(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.piece - self.unflushed);
        let before = self.output.len();
        self.encoder.encode(&bytes[..len], &mut self.output)?;
        self.made += self.output.len() - before;
        self.unflushed += len;
        self.in_use = true;
        if self.unflushed == self.piece {
            self.flush()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        let encoded = mem::take(&mut self.unflushed);
        if encoded == 0 {
            return Ok(());
        }
        let before = self.output.len();
        self.encoder.flush(&mut self.output)?;
        let made = mem::take(&mut self.made) + self.output.len() - before;
        // Fewer bytes than a short piece say little about what comes.
        if encoded >= SHORT_PIECE {
            let high = made * HIGH_RATIO < encoded;
            self.piece = if high { SHORT_PIECE } else { PIECE };
        }
        Ok(())
    }

    /// Lets the encoder rest if nothing was sent for a while; wakes the task to look again. Ready when the other side is
    /// told, if there is anything to tell.
    fn poll_rest<I>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        I: AsyncWrite + Unpin,
    {
        if self.shut {
            return Poll::Ready(Ok(()));
        }
        if let Some(after) = self.encoder.rests_after() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(after)));
            // The second turn registers the task.
            while timer.as_mut().poll(cx).is_ready() {
                if self.unflushed == 0 && !mem::take(&mut self.in_use) {
                    self.timer = None;
                    let told = self.encoder.rest()?;
                    self.telling = !told.is_empty();
                    self.output.extend_from_slice(&told);
                    break;
                }
                timer.as_mut().reset(Instant::now() + after);
            }
        }
        if self.telling {
            // From here the stream wakes the reader. A writer comes back to wait, or finds all done.
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
            ready!(self.poll_out(io, cx))?;
            self.telling = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the stream has taken all output and flushed it.
    fn poll_out<I>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        I: AsyncWrite + Unpin,
    {
        ready!(self.poll_drain(io, cx))?;
        Pin::new(io).poll_flush(cx)
    }

    /// Ready when the stream has taken all output. Its memory goes with it: a connection that is idle holds none.
    fn poll_drain<I>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        I: AsyncWrite + Unpin,
    {
        while self.taken < self.output.len() {
            let rest = &self.output[self.taken..];
            match ready!(Pin::new(&mut *io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.taken += taken,
            }
        }
        self.taken = 0;
        self.output = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Remembers who waits, if a writer has to.
    fn noted<T>(&mut self, poll: Poll<T>, cx: &Context<'_>) -> Poll<T> {
        self.writer = poll.is_pending().then(|| cx.waker().clone());
        poll
    }
}

impl Incoming {
    fn new(decoder: Decoder) -> Self {
        Self {
            decoder,
            input: Vec::new(),
            used: 0,
            more: false,
            broken: false,
            read: 0,
            made: 0,
        }
    }

    /// Decodes what there is, or throws it away if that has failed before. Whether anything came out.
    fn decode(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        if self.broken {
            return Ok(false);
        }
        let decoded = self.try_decode(buf);
        self.broken = decoded.is_err();
        decoded
    }

    fn try_decode(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        while self.more || self.used < self.input.len() {
            let room = buf.initialize_unfilled();
            let step = self.decoder.decode(&self.input[self.used..], room)?;
            self.more = step.written == room.len();
            self.used += step.read;
            self.read += step.read as u64;
            self.made += step.written as u64;
            let ratio = self.decoder.max_ratio();
            if self.made > FREE + self.read * ratio {
                let text = format!("compressed input became more than {ratio} times its size");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            if step.written > 0 {
                buf.advance(step.written);
                return Ok(true);
            }
            if step.read == 0 && !self.more && self.used < self.input.len() {
                let text = "the compressed stream goes on behind its end";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        Ok(false)
    }

    /// Reads compressed input, where all before it is used. Whether there was any.
    fn poll_fill<I>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<bool>>
    where
        I: AsyncRead + Unpin,
    {
        self.used = 0;
        self.input.resize(READ, 0);
        let mut buf = ReadBuf::new(&mut self.input);
        let poll = Pin::new(io).poll_read(cx, &mut buf);
        let filled = buf.filled().len();
        self.input.truncate(filled);
        if poll.is_pending() {
            // Whoever waits holds no memory for it.
            self.input = Vec::new();
            self.decoder.rest();
        }
        poll.map_ok(|()| filled > 0)
    }
}
