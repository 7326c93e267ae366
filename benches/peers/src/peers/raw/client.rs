//! Callers that encode into one shared buffer, and the one task that reads and writes for them.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use slab::Slab;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::batch::{self, Answers, Batches};
use super::frames::{self, Frames};
use crate::Error;
use crate::peers::Caller;

/// Messages without an answer find no room while as many bytes wait to be written.
const MAX_OUT: usize = 1024 * 1024;

/// A clone of the one connection.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Mutex<Shared>>);

/// What callers and the driver share.
#[derive(Default)]
struct Shared {
    /// Encoded requests that no write has taken yet.
    out: Vec<u8>,
    calls: Slab<Slot>,
    batches: Batches,
    /// Whether callers send what has no answer: then more of it is likely to follow.
    notifies: bool,
    /// The driver, while it waits for something to write.
    idle_driver: Option<Waker>,
    closed: bool,
}

/// One call in flight.
enum Slot {
    Waiting(Waker),
    Answered(Vec<u8>),
}

impl Connection {
    pub(super) fn start(stream: TcpStream) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let mut driver = Driver {
            stream,
            shared: Arc::clone(&shared),
            frames: Frames::new(),
            answers: Vec::new(),
            wakers: Vec::new(),
            writing: Vec::new(),
            written: 0,
            yielded: false,
        };
        tokio::spawn(async move {
            if let Err(error) = poll_fn(|cx| driver.poll(cx)).await {
                eprintln!("raw: the connection ended: {error}");
            }
            driver.close();
        });
        Self(shared)
    }

    fn poll_call(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        id: &mut Option<usize>,
    ) -> Poll<Result<Vec<u8>, Error>> {
        let mut shared = self.open()?;
        let Some(sent) = *id else {
            let key = shared.calls.insert(Slot::Waiting(cx.waker().clone()));
            frames::put(&mut shared.out, key as u64, payload);
            *id = Some(key);
            give_to_driver(shared);
            return Poll::Pending;
        };
        match &mut shared.calls[sent] {
            Slot::Waiting(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            Slot::Answered(answer) => {
                let answer = mem::take(answer);
                shared.calls.remove(sent);
                Poll::Ready(Ok(answer))
            }
        }
    }

    fn poll_batch(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        count: usize,
        key: &mut Option<usize>,
    ) -> Poll<Result<Answers, Error>> {
        let mut shared = self.open()?;
        if let Some(key) = *key {
            return shared.batches.poll(key, cx.waker()).map(Ok);
        }
        let Shared { batches, out, .. } = &mut *shared;
        *key = Some(batches.start(out, payload, count, cx.waker()));
        give_to_driver(shared);
        Poll::Pending
    }

    fn open(&self) -> Result<MutexGuard<'_, Shared>, Error> {
        let shared = lock(&self.0);
        if shared.closed {
            return Err("the connection is closed".into());
        }
        Ok(shared)
    }
}

impl Caller for Connection {
    type Reply = Vec<u8>;

    async fn call(&mut self, payload: &Bytes) -> Result<Vec<u8>, Error> {
        let mut id = None;
        poll_fn(|cx| self.poll_call(cx, payload, &mut id)).await
    }

    async fn notify(&mut self, payload: &Bytes) -> Result<bool, Error> {
        let mut shared = self.open()?;
        if shared.out.len() >= MAX_OUT {
            return Ok(false);
        }
        frames::put(&mut shared.out, frames::ONE_WAY, payload);
        shared.notifies = true;
        give_to_driver(shared);
        Ok(true)
    }

    async fn batch(&mut self, payload: &Bytes, count: usize) -> Result<(), Error> {
        let mut key = None;
        let answers = poll_fn(|cx| self.poll_batch(cx, payload, count, &mut key)).await?;
        let all_echo = answers.iter().all(|answer| answer.len() == payload.len());
        if all_echo {
            Ok(())
        } else {
            Err("not an echo".into())
        }
    }
}

/// The task that owns the socket.
struct Driver {
    stream: TcpStream,
    shared: Arc<Mutex<Shared>>,
    frames: Frames,
    /// Reused lists: the answers of one read, and whom to wake once the lock is given back.
    answers: Vec<(usize, Vec<u8>)>,
    wakers: Vec<Waker>,
    /// What the socket has not taken yet.
    writing: Vec<u8>,
    written: usize,
    yielded: bool,
}

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let read = self.poll_answers(cx)?;
            if self.poll_write(cx)?.is_pending() && read.is_pending() {
                return Poll::Pending;
            }
            if let Poll::Ready(0) = read {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads once and answers the calls of every whole frame.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Result<Poll<usize>, io::Error> {
        let Poll::Ready(read) = self.frames.poll_fill(cx, &mut self.stream)? else {
            return Ok(Poll::Pending);
        };
        let mut shared = None;
        while let Some((id, payload)) = self.frames.next() {
            if batch::is_of_batch(id) {
                let shared = shared.get_or_insert_with(|| lock(&self.shared));
                self.wakers.extend(shared.batches.answer(id, payload));
            } else {
                self.answers.push((id as usize, payload.to_vec()));
            }
        }
        drop(shared);
        if !self.answers.is_empty() {
            let mut shared = lock(&self.shared);
            for (id, answer) in self.answers.drain(..) {
                if let Some(slot) = shared.calls.get_mut(id)
                    && let Slot::Waiting(waker) = mem::replace(slot, Slot::Answered(answer))
                {
                    self.wakers.push(waker);
                }
            }
        }
        self.wakers.drain(..).for_each(Waker::wake);
        Ok(Poll::Ready(read))
    }

    /// Writes what callers have encoded, until there is no more. Never ready: only a read makes the driver go on.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, io::Error> {
        loop {
            if self.writing.is_empty() && !self.take_out(cx) {
                return Ok(Poll::Pending);
            }
            let wrote =
                match Pin::new(&mut self.stream).poll_write(cx, &self.writing[self.written..])? {
                    Poll::Ready(wrote) => wrote,
                    Poll::Pending => return Ok(Poll::Pending),
                };
            self.written += wrote;
            if self.written == self.writing.len() {
                self.writing.clear();
                self.written = 0;
            }
        }
    }

    /// Swaps the shared buffer out, having yielded once if others are likely to add to it.
    fn take_out(&mut self, cx: &mut Context<'_>) -> bool {
        let mut shared = lock(&self.shared);
        if shared.out.is_empty() {
            shared.idle_driver = Some(cx.waker().clone());
            return false;
        }
        let in_company = shared.calls.len() > 1 || shared.notifies;
        if in_company && !mem::replace(&mut self.yielded, true) {
            drop(shared);
            cx.waker().wake_by_ref();
            return false;
        }
        self.yielded = false;
        mem::swap(&mut shared.out, &mut self.writing);
        true
    }

    fn close(&mut self) {
        let mut shared = lock(&self.shared);
        shared.closed = true;
        for (_, slot) in &shared.calls {
            if let Slot::Waiting(waker) = slot {
                waker.wake_by_ref();
            }
        }
        shared.batches.wakers().for_each(Waker::wake_by_ref);
    }
}

/// Gives the lock back, and wakes the driver if it waits for something to write.
fn give_to_driver(mut shared: MutexGuard<'_, Shared>) {
    let driver = shared.idle_driver.take();
    drop(shared);
    if let Some(driver) = driver {
        driver.wake();
    }
}

/// A caller that panicked leaves nothing half done: every change under this lock is one step.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
