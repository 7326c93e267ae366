//! The task that owns a connection's stream: the only one that reads it and the only one that writes it.
//!
//! One turn of it, again and again until nothing moves:
//!
//! ```text
//!   read ──▶ decode ──▶ answers, requests, control        a bounded number of frames
//!   look at the time                                      if the one timer has fired
//!   start requests that waited for the service
//!   one lock: give answers to callers, take the answers of handlers, take the output away
//!   write                                                 all of it in one call, if the stream takes it
//! ```
//!
//! *It yields before it takes the output away*, if more than one call is under way: the callers that it has just
//! woken then share one write ([`gather`]). A call that is alone waits for nobody. This is worth more than
//! everything else here together.
//!
//! Reading never waits for writing, or two peers with full buffers would wait for each other; and the task
//! never sleeps on bytes that are not flushed.

mod end;
mod exchange;
mod gather;
mod read;
mod time;
mod write;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::BytesMut;
use http::Extensions;
use steeple_layers::moment::Moment;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};
use tower_service::Service;

use self::{end::Closing, gather::Gather, write::Written};
use super::{
    answer::Answer,
    clock::{Clock, Tick},
    leavings::Leavings,
    options::Options,
    service::RpcService,
    serving::{Answers, Serving},
    shared::{Shared, Status},
    state::State,
};
use crate::{
    Body, Error, Request,
    wire::{Capabilities, Id, Out, Role, Wire, native::Native},
};

/// The task of one connection: a future that runs it until it ends, to be spawned.
///
/// Its output is `Ok` if the connection ended in order, and otherwise the error that ended it. Where the peer has left
/// in order and handlers of its [messages without an answer](crate::Peer::notify) still run, it is ready when they have
/// ended, or, once this side is to [drain](crate::Peer::drain), with the grace. Dropping it ends the connection at once, and
/// calls on it fail.
#[must_use = "a connection does nothing unless it is polled or spawned"]
pub struct Connection<Io, S, W = Native>
where
    S: Service<Request<Body>>,
    W: Wire,
{
    io: Io,
    decoder: W::Decoder,
    role: Role,
    shared: Arc<Shared>,
    serving: Serving<S>,
    state: State,
    settings: Settings,
    closing: Option<Closing>,

    /// What was read and not decoded.
    input: BytesMut,
    /// Whether `input` may hold another whole frame.
    more_frames: bool,
    /// The output that is being written.
    writing: Out,
    needs_flush: bool,
    gather: Gather,
    /// Until when the output waits for more of it, where that is wanted.
    delayed_until: Option<Tick>,
    /// Until when to ask for input instead of sleeping.
    spin_until: Option<Moment>,
    /// The peer's pings that are to be answered.
    pings: Vec<u32>,
    /// The marks between chunks that the peer has read.
    marks: Vec<u32>,
    /// The peer's cancels of calls that no handler has any more.
    cancels: Vec<Id>,

    clock: Clock,
    now: Moment,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer is next needed.
    wanted: Tick,
    /// What the timer is set to.
    armed: Tick,
    /// The task, as the outbox knows it.
    waker: Option<Waker>,

    // Kept for their memory.
    results: Vec<Answer>,
    answers: Answers,
    leavings: Leavings,

    counted: Counted,
}

/// What a connection is put together of, besides its service.
pub(super) struct Parts<Io, W: Wire> {
    pub(super) io: Io,
    pub(super) decoder: W::Decoder,
    pub(super) role: Role,
    pub(super) shared: Arc<Shared>,
    /// What requests find of the connection.
    pub(super) extensions: Arc<Extensions>,
    pub(super) clock: Clock,
    pub(super) capabilities: Capabilities,
    pub(super) options: Options,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    read_buffer: usize,
    flush_delay: Duration,
    spin: Duration,
    can_drain: bool,
}

/// What happened since the outbox was last told.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    bytes_read: u64,
    read_calls: u64,
    read_errors: u64,
    bytes_written: u64,
    write_calls: u64,
    write_errors: u64,
    one_way_received: u64,
}

/// How a turn went.
enum Turn {
    /// Something moved, so there may be more.
    Moved,
    /// Nothing did: whatever is waited for wakes the task.
    Still,
    /// Others are let go first.
    Yield,
}

/// Turns in one poll. More would keep other tasks from the thread.
const TURNS_PER_POLL: usize = 16;

impl<Io, S, W> Connection<Io, S, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    S: RpcService,
    W: Wire,
{
    pub(super) fn new(parts: Parts<Io, W>, service: S) -> Self {
        let Parts {
            io,
            decoder,
            role,
            shared,
            extensions,
            clock,
            capabilities,
            options,
        } = parts;
        let now = Moment::now();
        let mut state = State::new(&options, clock.tick(now));
        if !capabilities.hello {
            state.opened();
            shared.reach(Status::Open);
        }
        let settings = Settings {
            read_buffer: options.read_buffer,
            flush_delay: options.flush_delay,
            spin: options.spin,
            can_drain: capabilities.drain,
        };
        Self {
            io,
            decoder,
            role,
            serving: Serving::new(service, shared.clone(), extensions, clock, &options),
            shared,
            state,
            settings,
            closing: None,
            input: BytesMut::new(),
            more_frames: false,
            writing: Out::new(options.flatten_below),
            needs_flush: false,
            gather: Gather::default(),
            delayed_until: None,
            spin_until: None,
            pings: Vec::new(),
            marks: Vec::new(),
            cancels: Vec::new(),
            clock,
            now,
            timer: None,
            wanted: Tick::NEVER,
            armed: Tick::NEVER,
            waker: None,
            results: Vec::new(),
            answers: Vec::new(),
            leavings: Leavings::default(),
            counted: Counted::default(),
        }
    }

    /// One turn while the connection is open.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Turn, end::End> {
        let read = self.read(cx)?;
        // First, so that what has expired is not started.
        self.check_time(cx)?;
        self.serving.start_waiting(cx, &mut self.answers);
        if self.exchange()? {
            return Ok(Turn::Yield);
        }
        let written = match self.write(cx) {
            Ok(written) => written,
            Err(end) => return Err(self.last_words(cx).unwrap_or(end)),
        };
        let timer = self.arm(cx);
        let room = self.serving.has_new_room();
        Ok(match read || timer || room || written == Written::Some {
            true => Turn::Moved,
            false => Turn::Still,
        })
    }

    /// Tells the outbox which task to wake, if it is another than before.
    fn register(&mut self, cx: &Context<'_>) {
        if self
            .waker
            .as_ref()
            .is_some_and(|old| old.will_wake(cx.waker()))
        {
            return;
        }
        let _old = self.shared.outbox().set_driver(cx.waker());
        self.waker = Some(cx.waker().clone());
    }

    /// Whether to ask for input once more instead of sleeping.
    fn spins(&mut self) -> bool {
        if self.settings.spin.is_zero() {
            return false;
        }
        if self.serving.is_idle() && self.shared.outbox().calls().owed() == 0 {
            return false;
        }
        let until = self.now.after(self.settings.spin);
        let until = *self.spin_until.get_or_insert(until.unwrap_or(self.now));
        self.now < until
    }
}

impl<Io, S, W> Future for Connection<Io, S, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    S: RpcService,
    W: Wire,
{
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.get_mut();
        me.now = Moment::now();
        me.register(cx);
        for _ in 0..TURNS_PER_POLL {
            if me.closing.is_some() {
                return me.poll_close(cx);
            }
            match me.turn(cx) {
                Ok(Turn::Moved) => me.spin_until = None,
                Ok(Turn::Still) if !me.spins() => return Poll::Pending,
                Ok(Turn::Still | Turn::Yield) => break,
                Err(end) => me.end(end),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

// Nothing in it is pinned in place: what must not move is boxed.
impl<Io, S, W> Unpin for Connection<Io, S, W>
where
    S: Service<Request<Body>>,
    W: Wire,
{
}

impl<Io, S, W> Drop for Connection<Io, S, W>
where
    S: Service<Request<Body>>,
    W: Wire,
{
    fn drop(&mut self) {
        self.abort();
    }
}

impl<Io, S, W> fmt::Debug for Connection<Io, S, W>
where
    S: Service<Request<Body>>,
    W: Wire,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("serving", &self.serving)
            .finish_non_exhaustive()
    }
}
