//! What kind of world it is: what may go wrong there, and how its connections are set up for it.

use std::time::Duration;

use fastrand::Rng;
use steeple::{
    Options, Overflow,
    wire::{Budget, native::Limits},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Climate {
    /// The network may be slow and torn, but loses nothing, and nobody stops before all is answered.
    Calm,
    /// The same, with queues so short that calls are refused.
    Tight,
    /// The same, and connections are drained while calls are under way.
    Drain,
    /// Connections are killed, cut, half open and closed.
    Storm,
    /// Bytes of one client change on their way.
    Corrupt,
}

/// What is drawn once for a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) climate: Climate,
    /// Streams carry a few bytes at a time, so bodies are short.
    pub(crate) fine: bool,
    /// The server is drained or closed while calls are under way.
    pub(crate) server_stops: bool,
}

/// How long anything may be silent where nothing is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a drain may take where it is to succeed: more than all the handlers of a world one after the other.
const GRACE: Duration = Duration::from_secs(60);

impl Setting {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let climate = match rng.u8(0..20) {
            0..4 => Climate::Calm,
            4..8 => Climate::Tight,
            8..12 => Climate::Drain,
            12..18 => Climate::Storm,
            _ => Climate::Corrupt,
        };
        Self {
            climate,
            fine: one_in(rng, 3),
            server_stops: matches!(climate, Climate::Drain | Climate::Storm) && one_in(rng, 2),
        }
    }

    /// Whether nobody stops before all is answered.
    pub(crate) fn is_calm(self) -> bool {
        matches!(self.climate, Climate::Calm | Climate::Tight)
    }

    /// Whether the network loses nothing.
    pub(crate) fn is_lossless(self) -> bool {
        self.is_calm() || self.climate == Climate::Drain
    }

    /// Whether calls may be refused because something is full.
    pub(crate) fn is_tight(self) -> bool {
        !matches!(self.climate, Climate::Calm | Climate::Drain)
    }

    /// The settings of one side.
    pub(crate) fn options(self, rng: &mut Rng) -> Options {
        let mut options = Options::new()
            .drain_grace(GRACE)
            .frame_timeout(PATIENCE)
            .handshake_timeout(PATIENCE)
            .write_stall(PATIENCE);
        if one_in(rng, 3) {
            options = options.max_calls(rng.usize(1..6));
        }
        if one_in(rng, 3) {
            options = options.write_buffer(pick(rng, &[1, 200, 5000, 100_000]));
        }
        if one_in(rng, 4) {
            options = options.flush_delay(Duration::from_micros(rng.u64(1..3000)));
        }
        if one_in(rng, 3) {
            options = options.flatten_below(pick(rng, &[0, 100, usize::MAX]));
        }
        if one_in(rng, 4) {
            options = options.read_buffer(1024);
        }
        if one_in(rng, 4) {
            options = options.max_handlers(rng.usize(1..4));
        }
        if one_in(rng, 4) {
            options = options.max_unsent(pick(rng, &[1, 100, 10_000]));
        }
        // Where nothing is asked, nothing makes up for a wake-up that was lost.
        options = options.keepalive(None);
        if one_in(rng, 3) {
            let interval = Duration::from_millis(rng.u64(5..60));
            options = options.keepalive(interval).keepalive_timeout(PATIENCE);
        }
        options = self.pending(rng, options);
        if self.is_tight() && one_in(rng, 3) {
            let bytes = pick(rng, &[100, 10_000, 1_000_000]);
            options = options.max_waiting(rng.usize(0..4), bytes);
        }
        if self.is_lossless() {
            options
        } else {
            impatient(rng, options)
        }
    }

    /// What one side takes, and what it pays unfinished messages from.
    pub(crate) fn limits(self, rng: &mut Rng) -> (Limits, Budget) {
        let mut limits = Limits::new();
        let mut budget = Budget::new(1 << 30);
        if self.is_tight() && one_in(rng, 6) {
            limits = limits.max_assembly(rng.usize(1000..400_000));
        }
        if self.is_tight() && one_in(rng, 6) {
            budget = Budget::new(rng.usize(1000..400_000));
        }
        if self.is_tight() && one_in(rng, 6) {
            limits = limits.max_message(rng.u64(1000..300_000));
        }
        (limits.assembly_budget(budget.clone()), budget)
    }

    fn pending(self, rng: &mut Rng, options: Options) -> Options {
        let overflow = match rng.u8(0..6) {
            0 if self.is_tight() => Overflow::DropOldest,
            1 if self.is_tight() => Overflow::RejectNewest,
            2 => Overflow::Wait,
            _ => return options,
        };
        options.overflow(overflow).max_pending(rng.usize(0..5))
    }
}

/// Short timeouts, so that they are met.
fn impatient(rng: &mut Rng, mut options: Options) -> Options {
    let mut wait = |longest| Duration::from_millis(rng.u64(1..longest));
    options = options.drain_grace(wait(300));
    let (interval, timeout) = (wait(60), wait(60));
    let times = [wait(200), wait(200), wait(200), wait(200), wait(200)];
    let mut one_in = |n| one_in(rng, n);
    if one_in(3) {
        options = options.keepalive(interval).keepalive_timeout(timeout);
    }
    if one_in(6) {
        options = options.handshake_timeout(times[0]);
    }
    if one_in(6) {
        options = options.frame_timeout(times[1]);
    }
    if one_in(6) {
        options = options.read_idle(times[2]);
    }
    if one_in(6) {
        options = options.write_stall(times[3]);
    }
    if one_in(6) {
        options = options.unanswered_limit(times[4]);
    }
    options
}

pub(crate) fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(0..n) == 0
}

pub(crate) fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(0..of.len())]
}
