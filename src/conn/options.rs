//! What can be set about a connection, and why it is what it is unless set.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::quota::Quota;

/// Settings of one connection, the same on either side. The defaults are the fast path.
///
/// A time that may also be none takes a `Duration` or `None`.
///
/// ```
/// use std::time::Duration;
/// use steeple::{Options, Overflow};
///
/// let options = Options::new()
///     .max_pending(1024)
///     .overflow(Overflow::RejectNewest)
///     .keepalive(Duration::from_secs(10))
///     .write_stall(None);
/// ```
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until given to a connection"]
pub struct Options {
    pub(crate) flush_delay: Duration,
    pub(crate) spin: Duration,
    pub(crate) read_buffer: usize,
    pub(crate) write_buffer: usize,
    pub(crate) flatten_below: usize,
    pub(crate) max_calls: usize,
    pub(crate) max_pending: usize,
    pub(crate) overflow: Overflow,
    pub(crate) max_unsent: usize,
    pub(crate) max_waiting: usize,
    pub(crate) max_waiting_bytes: usize,
    pub(crate) max_handlers: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) frame_timeout: Duration,
    pub(crate) read_idle: Option<Duration>,
    pub(crate) write_stall: Option<Duration>,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) unanswered_limit: Option<Duration>,
    pub(crate) drain_grace: Duration,
    pub(crate) spawn: Spawner,
    pub(crate) quota: Option<Quota>,
}

/// What happens to a call when as many wait for the connection as may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The new call waits and the one that has waited longest fails: under overload, fresh calls are worth
    /// more than those whose callers have nearly given up.
    #[default]
    DropOldest,
    /// The new call fails.
    RejectNewest,
    /// Nothing fails: every call waits until its turn or its deadline. The limit then does not bound the
    /// queue; what does is that each call in it is held by a future of its caller, and leaves it with that.
    Wait,
}

/// Runs the tasks of a connection: its handlers that were not ready at once.
///
/// Implemented for closures, so `options.spawn_with(move |task| { handle.spawn(task); })` is enough.
pub trait Spawn: Send + Sync + 'static {
    /// Runs a task until it ends. A task that is dropped instead answers its call with an error.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

impl<F> Spawn for F
where
    F: Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync + 'static,
{
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self(task);
    }
}

/// The user's [`Spawn`], or tokio's runtime of the connection.
#[derive(Clone, Default)]
pub(crate) struct Spawner(Option<Arc<dyn Spawn>>);

impl Spawner {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.0 {
            // The task goes to tokio as it is, without a box around it.
            None => drop(tokio::spawn(task)),
            Some(spawn) => spawn.spawn(Box::pin(task)),
        }
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "custom" } else { "tokio" })
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flush_delay: Duration::ZERO,
            spin: Duration::ZERO,
            read_buffer: 64 * 1024,
            write_buffer: 1024 * 1024,
            flatten_below: 8 * 1024,
            max_calls: 65_536,
            max_pending: 32_768,
            overflow: Overflow::default(),
            max_unsent: 128 * 1024 * 1024,
            max_waiting: 8192,
            max_waiting_bytes: 64 * 1024 * 1024,
            max_handlers: 4096,
            handshake_timeout: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(30),
            read_idle: None,
            write_stall: Some(Duration::from_secs(30)),
            keepalive: Some(Duration::from_secs(30)),
            keepalive_timeout: Duration::from_secs(10),
            unanswered_limit: None,
            drain_grace: Duration::from_secs(30),
            spawn: Spawner::default(),
            quota: None,
        }
    }
}

impl Options {
    /// The most calls that may be under way or waiting on one connection, whatever the other limits say:
    /// as many as its ids can name.
    pub const MAX_CALLS: usize = (1 << 20) - 1;

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a message may wait for others to share its write. Default: 0. A busy connection merges its
    /// writes without it; a delay only trades latency for fewer writes.
    /// It is rounded up to whole milliseconds.
    pub fn flush_delay(mut self, delay: Duration) -> Self {
        self.flush_delay = delay;
        self
    }

    /// How long the connection's task keeps asking for input before it sleeps, while calls are under way.
    /// Default: 0. It can save a wake-up where cores are idle, and burns one where they are not.
    pub fn spin(mut self, spin: Duration) -> Self {
        self.spin = spin;
        self
    }

    /// How many bytes are asked for in one read, at most. Default: 64 KiB, at least 1 KiB. The buffer belongs
    /// to the thread, so an idle connection holds none.
    pub fn read_buffer(mut self, bytes: usize) -> Self {
        self.read_buffer = bytes.max(1024);
        self
    }

    /// How many encoded bytes may wait for the socket before further calls become pending. Default: 1 MiB.
    pub fn write_buffer(mut self, bytes: usize) -> Self {
        self.write_buffer = bytes.max(1);
        self
    }

    /// Bodies shorter than this are copied into one buffer; longer ones are written from where they are.
    /// Default: 8 KiB. `usize::MAX` copies all.
    pub fn flatten_below(mut self, bytes: usize) -> Self {
        self.flatten_below = bytes;
        self
    }

    /// How many calls of this side may be without an answer before further ones become pending; the peer's
    /// own limit also holds. Default: 65 536, at least 1.
    pub fn max_calls(mut self, calls: usize) -> Self {
        self.max_calls = calls.max(1);
        self
    }

    /// How many calls may be pending before the [`overflow`](Self::overflow) rule applies. Default: 32 768.
    pub fn max_pending(mut self, calls: usize) -> Self {
        self.max_pending = calls;
        self
    }

    /// What happens to a call when `max_pending` others are pending. Default: the oldest of them fails.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How many bytes of answers may be unsent before no further handler is started. Default: 128 MiB – more
    /// than the longest answer there is, so that a small call beside one is not held up – and at least 1.
    /// Reading goes on.
    pub fn max_unsent(mut self, bytes: usize) -> Self {
        self.max_unsent = bytes.max(1);
        self
    }

    /// How many requests of the peer, and how many bytes of them, metadata included, may wait for the service
    /// to be ready. Default: 8192 and 64 MiB. Further ones are answered at once that they were not started.
    pub fn max_waiting(mut self, requests: usize, bytes: usize) -> Self {
        self.max_waiting = requests;
        self.max_waiting_bytes = bytes;
        self
    }

    /// How many handlers may be running for this connection, those included that wait for their
    /// [turn](crate::router::Handler::ordered) or for a thread. Further requests wait. Default: 4096, half of what all
    /// connections of a server may have [together](Quota::max_handlers), so that one client whose calls are stuck
    /// leaves room for others. Where many clients are not to be trusted, less is better.
    pub fn max_handlers(mut self, handlers: usize) -> Self {
        self.max_handlers = handlers.max(1);
        self
    }

    /// How long the peer may take to open its direction. Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How long one frame may take from its first byte to its last, and how long a message in several frames may go
    /// without 1 KiB of it; not counted is what the peer waits for answers to its pings that are not written yet.
    /// Default: 30 s: a peer that drips bytes to hold memory is slower than any that works.
    pub fn frame_timeout(mut self, timeout: Duration) -> Self {
        self.frame_timeout = timeout;
        self
    }

    /// How long the peer may be silent. Default: `None`, for ever, since an idle connection is silent and
    /// keepalive finds one that is dead.
    pub fn read_idle(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.read_idle = timeout.into();
        self
    }

    /// How long output may wait without the socket taking any of it. Default: 30 s; `None` is for ever.
    pub fn write_stall(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.write_stall = timeout.into();
        self
    }

    /// How long the peer may be silent before it is asked whether it is there. Default: 30 s; with `None` it
    /// is never asked.
    pub fn keepalive(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.keepalive = silence.into();
        self
    }

    /// How long the peer may take to say that it is there. Default: 10 s.
    pub fn keepalive_timeout(mut self, timeout: Duration) -> Self {
        self.keepalive_timeout = timeout;
        self
    }

    /// How old the oldest call may be while no answer has come for as long: it finds a peer that answers
    /// pings but no calls. Default: `None`, as old as may be, since a slow call is legitimate.
    pub fn unanswered_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.unanswered_limit = limit.into();
        self
    }

    /// How long a drain waits for the peer and for what is under way. Default: 30 s.
    pub fn drain_grace(mut self, grace: Duration) -> Self {
        self.drain_grace = grace;
        self
    }

    /// Shares limits with all connections that have these options, or others with the same quota. Default: none for a
    /// single connection; those of a server share one.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// Runs handlers that are not ready at once by `spawn` instead of tokio's own.
    pub fn spawn_with(mut self, spawn: impl Spawn) -> Self {
        self.spawn = Spawner(Some(Arc::new(spawn)));
        self
    }
}
