//! Streams of users', which do less than the best do.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use steeple::{Connector, Options, conn::Builder, transport::mem::MemStream, wire::Role};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use crate::support::{Probe, Tap, Tapped, call, soon};

/// Keeps what is written until it is flushed, as a compressing or encrypting stream may; never vectored.
struct Buffered {
    inner: MemStream,
    buffer: Vec<u8>,
    capacity: usize,
}

impl Buffered {
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.buffer))?;
            self.buffer.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.buffer.len() >= self.capacity {
            ready!(self.poll_empty(cx))?;
        }
        let len = bytes.len().min(self.capacity - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_empty(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Keeps the most bytes that one read has asked for.
struct Asked(Arc<AtomicUsize>);

impl Tap for Asked {
    fn reads(&mut self, room: usize) {
        self.0.fetch_max(room, Ordering::Relaxed);
    }
}

fn pair(capacity: usize, buffered: usize, options: Options) -> steeple::Channel {
    let (near, far) = MemStream::pair(capacity);
    let [near, far] = [near, far].map(|inner| Buffered {
        inner,
        buffer: Vec::new(),
        capacity: buffered,
    });
    let (_, server) = Builder::new(Role::Acceptor)
        .options(options.clone())
        .build(far, Probe::default().service());
    tokio::spawn(server);
    let connector = Connector::new()
        .options(options)
        .serve(Probe::default().service());
    connector.connect_io(near, None)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_keeps_bytes_until_it_is_flushed_is_flushed() {
    for (capacity, buffered, len) in [
        (64 * 1024, 8192, 70_000),
        (100, 1 << 20, 70_000),
        (1, 1, 1000),
        (7, 10_000, 5000),
    ] {
        let mut channel = pair(capacity, buffered, Options::new());
        let answers = [
            channel.call(call("echo", "x")),
            channel.call(call("back", vec![1; len / 2])),
            channel.call(call("echo", vec![2; len])),
            channel.call(call("sleep", "5")),
        ];
        for answer in answers {
            soon(answer).await.unwrap();
        }
        soon(channel.drain()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_always_copied_come_back_too() {
    let mut channel = pair(1000, 100, Options::new().flatten_below(usize::MAX));
    let body = vec![5; 200_000];
    let answer = soon(channel.call(call("echo", body.clone())))
        .await
        .unwrap();
    assert_eq!(answer.body().as_bytes(), &body);
}

// Who spins keeps a paused clock from going on.
#[tokio::test]
async fn a_task_that_spins_for_input_sleeps_in_the_end() {
    let options = Options::new().spin(std::time::Duration::from_millis(1));
    let mut channel = pair(1000, 100, options);
    soon(channel.call(call("echo", "x"))).await.unwrap();
    soon(channel.call(call("sleep", "50"))).await.unwrap();
    soon(channel.drain()).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_never_copied_go_out_one_after_the_other() {
    let options = Options::new().flatten_below(0);
    let mut channel = pair(64 * 1024, 8192, options);
    let bodies = ["", "a", "", "", "bcd"];
    let answers: Vec<_> = bodies
        .iter()
        .map(|body| channel.call(call("echo", *body)))
        .collect();
    for (answer, body) in answers.into_iter().zip(bodies) {
        assert_eq!(soon(answer).await.unwrap().body().as_bytes(), body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_asks_for_as_many_bytes_as_read_buffer_and_no_more() {
    let default = 64 * 1024;
    // The second has a neighbour on its thread that has read more at once.
    for (options, expected) in [
        (Options::new(), default),
        (Options::new().read_buffer(4096), 4096),
        (Options::new().read_buffer(2 * default), 2 * default),
        (Options::new().read_buffer(0), 1024),
    ] {
        let (inner, far) = MemStream::pair(1 << 20);
        let most = Arc::new(AtomicUsize::new(0));
        let near = Tapped {
            inner,
            tap: Asked(most.clone()),
        };
        let (_, server) = Builder::new(Role::Acceptor).build(far, Probe::default().service());
        tokio::spawn(server);
        let mut channel = Connector::new().options(options).connect_io(near, None);
        for body in ["10", "300000", "10", "300000"] {
            let answer = soon(channel.call(call("big", body))).await.unwrap();
            assert_eq!(answer.body().len().to_string(), body);
        }
        soon(channel.drain()).await;
        assert_eq!(most.load(Ordering::Relaxed), expected);
    }
}
