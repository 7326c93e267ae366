//! Where callers leave their messages: encoded at once, under one short lock, into one output.
//!
//! ```text
//!   callers ──▶ pending ──▶ ┌───────────── output ─────────────┐ ── swap ──▶ driver ──▶ stream
//!               (no room)   │ control and whole messages, FIFO │
//!   handlers ─────────────▶ └──────────────────────────────────┘
//!                bulk lane ──▶ one chunk behind each output, as far as the window is open
//! ```
//!
//! A call has two stages. While the peer takes no further call, or the output holds as much as it may, it is
//! *pending*: not encoded, and bounded by a rule of the user's. Then it is encoded straight into the
//! output, which only the driver takes away, whole. Between the two lies nothing else: no channel, no copy.
//!
//! The outbox knows no socket, and of the time what it is told; only for a caller who needs it and finds none does it
//! look at the clock. Whatever could run code of the user's – a waker, the end of a request – leaves it as
//! [`Leavings`], past the lock.

mod answers;
mod batch;
mod calls;
mod lengths;
mod output;

use std::{collections::VecDeque, task::Waker};

use steeple_layers::moment::Moment;

pub(super) use self::answers::check;
use self::lengths::Lengths;
use super::{
    cause::Cause,
    clock::{Clock, Tick},
    inflight::{InFlight, Key},
    job::Reply,
    leavings::Leavings,
    options::{Options, Overflow},
    stats::Stats,
    window::Window,
};
use crate::wire::{Capabilities, Encoder, Hello, Id, Out, Role};

/// What callers, handlers and the driver of one connection share, under one lock.
pub(super) struct Outbox {
    encoder: Box<dyn Encoder>,
    capabilities: Capabilities,
    limits: Limits,
    clock: Clock,
    phase: Phase,
    wish: Wish,

    out: Out,
    /// The number of `out`; the driver writes the one before it.
    batch: u64,
    /// The number of the output with which this direction opens.
    opening: u64,

    calls: InFlight,
    /// Calls in the order in which they wait, among them some that have ended since.
    pending: VecDeque<Key>,
    /// Requests of this side in the bulk lane, those without an answer included.
    bulk_requests: usize,
    bulk_one_ways: Lengths,
    bulk_answers: Lengths,
    /// How far the bulk lane goes; none on a wire without pings.
    window: Option<Window>,
    /// An id that the peer used again before it had the whole answer.
    reused: Option<Id>,
    /// How much of `out` refuses requests and answers pings: no handler bounds it.
    reflex_bytes: usize,
    /// Requests of the peer that tasks have answered since the driver last looked.
    finished: Vec<Reply>,

    driver: Option<Waker>,
    /// Whether the driver waits for output.
    asleep: bool,
    /// The time, while the driver is about to look: who comes until then need not ask the clock again.
    now: Moment,
    /// When the driver looks at deadlines next.
    armed: Tick,
    stats: Stats,
    /// How many of the references to the connection only read the counters.
    pub(super) witnesses: usize,
}

/// How far a connection is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// This direction is not open yet: calls wait.
    Opening,
    /// Calls go out.
    Open,
    /// No call begins.
    Draining,
    /// Nothing goes any more.
    Closed(Cause),
}

/// What the owner of this end wants of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// To go on.
    Run,
    /// To finish what there is, then to stop.
    Drain,
    /// To stop.
    Close,
}

#[derive(Debug)]
struct Limits {
    write_buffer: usize,
    max_calls: usize,
    max_pending: usize,
    overflow: Overflow,
}

impl Outbox {
    pub(super) fn new(
        encoder: Box<dyn Encoder>,
        capabilities: Capabilities,
        role: Role,
        clock: Clock,
        options: &Options,
    ) -> Self {
        let max_calls = options.max_calls.min(Options::MAX_CALLS);
        let limits = Limits {
            write_buffer: options.write_buffer,
            max_calls,
            max_pending: options.max_pending.min(Options::MAX_CALLS - max_calls),
            overflow: options.overflow,
        };
        Self {
            encoder,
            capabilities,
            limits,
            clock,
            phase: Phase::Opening,
            wish: Wish::Run,
            out: Out::new(options.flatten_below),
            batch: 0,
            opening: u64::MAX,
            calls: InFlight::new(role),
            pending: VecDeque::new(),
            bulk_requests: 0,
            bulk_one_ways: Lengths::default(),
            bulk_answers: Lengths::default(),
            window: capabilities.ping.then(Window::new),
            reused: None,
            reflex_bytes: 0,
            finished: Vec::new(),
            driver: None,
            asleep: false,
            now: Moment::NONE,
            armed: Tick::NEVER,
            stats: Stats::default(),
            witnesses: 0,
        }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// A consistent copy of the counters.
    pub(super) fn stats(&self) -> Stats {
        Stats {
            in_flight: self.calls.owed() as u64,
            pending: self.calls.pending() as u64,
            ..self.stats
        }
    }

    pub(super) fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    pub(super) fn calls(&self) -> &InFlight {
        &self.calls
    }

    pub(super) fn wish(&self) -> Wish {
        self.wish
    }

    /// Wants more of the driver; what is wanted never becomes less. Returns the driver, to be woken.
    pub(super) fn want(&mut self, wish: Wish) -> Option<Waker> {
        self.wish = self.wish.max(wish);
        self.driver.clone()
    }

    /// Opens this direction.
    pub(super) fn open(&mut self) {
        self.encoder.hello(&mut self.out);
        self.opening = self.batch;
        self.phase = Phase::Open;
    }

    /// Tells a peer that waits for it that this direction begins with the wire.
    pub(super) fn preface(&mut self) {
        self.encoder.preface(&mut self.out);
    }

    /// Takes note of what the peer said of itself.
    pub(super) fn peer_hello(&mut self, hello: &Hello) {
        self.encoder.peer_hello(hello);
        self.limits.max_calls = self.limits.max_calls.min(hello.max_calls as usize).max(1);
    }

    /// Begins no further call. With `fail`, those that wait to be encoded end: the peer takes none.
    pub(super) fn drain(&mut self, fail: bool, leavings: &mut Leavings) {
        self.phase = Phase::Draining;
        if fail {
            self.fail_all_pending(leavings);
        }
    }

    /// Whom to wake. Returns the last one.
    pub(super) fn set_driver(&mut self, driver: &Waker) -> Option<Waker> {
        let same = self
            .driver
            .as_ref()
            .is_some_and(|old| old.will_wake(driver));
        if same {
            None
        } else {
            self.driver.replace(driver.clone())
        }
    }

    /// Until when the driver sleeps, and whether output wakes it: it does not while the stream takes none.
    pub(super) fn sleep(&mut self, asleep: bool, armed: Tick) {
        self.asleep = asleep;
        self.armed = armed;
        self.now = Moment::NONE;
    }

    /// The time, as of the driver's last turn if the next is about to come.
    pub(super) fn now(&self) -> Moment {
        match self.now {
            Moment::NONE => Moment::now(),
            now => now,
        }
    }

    /// Says what the time is, until the driver looks: it is about to.
    pub(super) fn set_now(&mut self, now: Moment) {
        self.now = now;
    }

    /// The driver, if there is now something that it waits for: output, or a deadline before the one that it
    /// knows of.
    pub(super) fn rouse(&mut self) -> Option<Waker> {
        let sooner = self.calls.earliest() < self.armed;
        if !self.asleep && !sooner {
            return None;
        }
        self.asleep = false;
        self.armed = self.armed.min(self.calls.earliest());
        self.driver.clone()
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("phase", &self.phase)
            .field("unwritten", &self.out.len())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
