//! Two pipes that make a stream, and what one tells the other.

use std::{
    io::{self, IoSlice},
    sync::{Arc, Mutex},
    task::Waker,
};

use fastrand::Rng;
use tokio::{io::ReadBuf, time::Instant};

use super::{
    lock,
    path::Path,
    pipe::{Pipe, Step},
};

#[derive(Debug)]
pub(super) struct Connection(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What each [`Side`] writes.
    pipes: [Pipe; 2],
    killed: bool,
}

/// Which end of a connection: the one that connected, or the one that accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Connected,
    Accepted,
}

/// Those to be woken once the lock is released, so that no waker runs under it.
type Wakers = [Option<Waker>; 4];

impl Connection {
    /// Pipes over the two paths: first the one of the side that connects.
    pub(super) fn new(paths: [Arc<Path>; 2], rng: &mut Rng) -> Arc<Self> {
        let now = Instant::now();
        let pipes = paths.clone().map(|path| Pipe::new(path, rng.fork(), now));
        let connection = Arc::new(Self(Mutex::new(State {
            pipes,
            killed: false,
        })));
        for path in paths {
            path.add(&connection);
        }
        connection
    }

    pub(super) fn read(
        &self,
        side: Side,
        waker: &Waker,
        buf: &mut ReadBuf<'_>,
    ) -> Step<io::Result<()>> {
        let mut state = lock(&self.0);
        let (_, incoming) = state.pipes(side);
        let step = incoming.read(Instant::now(), buf);
        let writer = match step {
            Step::Done(_) => incoming.writer.take(),
            Step::Wait(_) => {
                incoming.reader = Some(waker.clone());
                None
            }
        };
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        step
    }

    pub(super) fn write(
        &self,
        side: Side,
        waker: &Waker,
        slices: &[IoSlice<'_>],
    ) -> Step<io::Result<usize>> {
        let mut state = lock(&self.0);
        if state.killed {
            return Step::Done(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let now = Instant::now();
        let (outgoing, incoming) = state.pipes(side);
        if outgoing.is_shut() {
            return Step::Done(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let news = match incoming.writer_gone(now) {
            Step::Done(error) => return Step::Done(Err(error)),
            Step::Wait(news) => news,
        };
        let written = match outgoing.write(now, slices) {
            Step::Done(written) => written,
            Step::Wait(_) => {
                outgoing.writer = Some(waker.clone());
                return Step::Wait(news);
            }
        };
        let wakers = if written.is_fatal {
            state.kill()
        } else {
            [outgoing.reader.take(), None, None, None]
        };
        drop(state);
        wake(wakers);
        Step::Done(match written.bytes {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            bytes => Ok(bytes),
        })
    }

    /// Ends what this side writes.
    pub(super) fn shut(&self, side: Side) {
        let mut state = lock(&self.0);
        let killed = state.killed;
        let (outgoing, _) = state.pipes(side);
        if !killed {
            outgoing.shut(Instant::now());
        }
        let reader = outgoing.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// This side is gone.
    pub(super) fn close(&self, side: Side) {
        let mut state = lock(&self.0);
        let killed = state.killed;
        let (outgoing, incoming) = state.pipes(side);
        let unread = incoming.abandon();
        if !killed {
            outgoing.close(Instant::now(), unread);
        }
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
    }

    /// Resets both directions, after what is on its way.
    pub(super) fn kill(&self) {
        let wakers = lock(&self.0).kill();
        wake(wakers);
    }

    /// Lets all who wait look again: conditions have changed.
    pub(super) fn wake(&self) {
        let wakers = lock(&self.0).wakers();
        wake(wakers);
    }
}

impl State {
    /// What `side` writes, and what it reads.
    fn pipes(&mut self, side: Side) -> (&mut Pipe, &mut Pipe) {
        let [connected, accepted] = &mut self.pipes;
        match side {
            Side::Connected => (connected, accepted),
            Side::Accepted => (accepted, connected),
        }
    }

    fn kill(&mut self) -> Wakers {
        if !self.killed {
            self.killed = true;
            self.pipes.iter_mut().for_each(Pipe::kill);
        }
        self.wakers()
    }

    fn wakers(&mut self) -> Wakers {
        let [one, other] = &mut self.pipes;
        [
            one.reader.take(),
            one.writer.take(),
            other.reader.take(),
            other.writer.take(),
        ]
    }
}

fn wake(wakers: Wakers) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}
