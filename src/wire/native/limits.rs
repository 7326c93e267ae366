//! What one side takes.

use crate::{
    BodyCompression, Encoding,
    wire::{Budget, Hello, compression, numbers::floor},
};

/// How much a side takes from its peer. Told to the peer in HELLO, where it can only raise the floor.
///
/// One value is meant to be cloned for every connection of a server, so that they share the
/// [`assembly_budget`](Self::assembly_budget).
///
/// A connection that has read a body of 1 MiB or more in pieces keeps its memory for the next, once the body is
/// dropped and until keepalive finds the connection idle or it ends. Connections that
/// share these limits keep at most 64 MiB so.
///
/// ```
/// use steeple::{Server, wire::native::{Limits, Native}};
///
/// # async fn example() -> Result<(), steeple::Error> {
/// let limits = Limits::new().max_message(1 << 20);
/// let server = Server::bind("tcp://127.0.0.1:7000").await?.wire(Native::new(limits));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until given to a wire"]
pub struct Limits {
    pub(super) max_frame: u32,
    pub(super) max_message: u64,
    pub(super) max_calls: u32,
    pub(super) max_bindings: u16,
    pub(super) encodings: Vec<Encoding>,
    pub(super) compressions: Vec<BodyCompression>,
    pub(super) max_assembly: usize,
    pub(super) assembly_budget: Budget,
    /// What all connections together may keep for bodies to come.
    pub(super) spares: Budget,
}

impl Limits {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a side with these limits says of itself.
    pub fn hello(&self) -> Hello {
        Hello {
            max_frame: self.max_frame,
            max_message: self.max_message.max(floor::MAX_MESSAGE),
            max_calls: self.max_calls,
            max_bindings: self.max_bindings,
            encodings: self.encodings.clone(),
            compressions: self.compressions.clone(),
            agent: concat!("steeple/", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// The longest payload of a frame, in bytes. A longer one ends the connection. Default: 128 KiB, which is
    /// also the least.
    pub fn max_frame(mut self, bytes: u32) -> Self {
        self.max_frame = bytes.max(floor::MAX_FRAME);
        self
    }

    /// The longest body, in bytes. A request with a longer one is refused and the connection lives. Default:
    /// 64 MiB. A peer may not know of a smaller value, since HELLO cannot tell it.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// How many calls the peer may have open at once. As many messages may be refused before their last bytes have
    /// come, which takes up to 128 bytes for each. Default: 65 536, which is also the least.
    pub fn max_calls(mut self, calls: u32) -> Self {
        self.max_calls = calls.max(floor::MAX_CALLS);
        self
    }

    /// How many methods the peer may bind to a number. Default: 1024, which is also the least.
    pub fn max_bindings(mut self, bindings: u16) -> Self {
        self.max_bindings = bindings.max(floor::MAX_BINDINGS);
        self
    }

    /// The encodings that requests may be in, beside raw ones. Default: none named, which is all.
    pub fn encodings(mut self, encodings: impl IntoIterator<Item = Encoding>) -> Self {
        self.encodings = encodings.into_iter().collect();
        self
    }

    /// The compressions of bodies that are decoded, the best first; those without their feature are left out.
    /// Default: all that have it. A body counts against `max_message` with its plain length.
    pub fn compressions(mut self, compressions: impl IntoIterator<Item = BodyCompression>) -> Self {
        let available = |it: &BodyCompression| compression::AVAILABLE.contains(it);
        self.compressions = compressions.into_iter().filter(available).collect();
        self
    }

    /// How many bytes of unfinished messages are kept for one connection, with what their metadata takes in memory.
    /// Default: 128 MiB. The memory behind them can be twice as much, since buffers double.
    pub fn max_assembly(mut self, bytes: usize) -> Self {
        self.max_assembly = bytes;
        self
    }

    /// The bytes of unfinished messages that are kept for all connections that share this. Default: 1 GiB for
    /// those of one server or connector.
    pub fn assembly_budget(mut self, budget: Budget) -> Self {
        self.assembly_budget = budget;
        self
    }
}

/// The bytes that the connections of one server or connector keep for large bodies to come, until they are idle:
/// enough for one of the longest, unless more is allowed.
const SPARES: usize = 64 * 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: floor::MAX_FRAME,
            max_message: floor::MAX_MESSAGE,
            max_calls: floor::MAX_CALLS,
            max_bindings: floor::MAX_BINDINGS,
            encodings: Vec::new(),
            compressions: compression::AVAILABLE.into(),
            max_assembly: 128 * 1024 * 1024,
            assembly_budget: Budget::new(1024 * 1024 * 1024),
            spares: Budget::new(SPARES),
        }
    }
}
