//! What one side takes.

use crate::{
    Encoding,
    wire::{Budget, Hello, numbers::floor},
};

/// How much a side takes from its peer. Told to the peer in HELLO, where it can only raise the floor.
///
/// One value is meant to be cloned for every connection of a server, so that they share the
/// [`assembly_budget`](Self::assembly_budget).
///
/// ```
/// use steeple::wire::native::Limits;
///
/// let mut limits = Limits::default();
/// limits.max_message = 1 << 20;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The longest payload of a frame, in bytes. A longer one ends the connection. 128 KiB, which is also
    /// the least that counts.
    pub max_frame: u32,
    /// The longest body, in bytes. A request with a longer one is refused and the connection lives. 64 MiB.
    /// A peer may not know of a smaller value, since HELLO cannot tell it.
    pub max_message: u64,
    /// How many calls the peer may have open at once. 65 536, which is also the least that counts.
    pub max_calls: u32,
    /// How many methods the peer may bind to a number. 1024, which is also the least that counts.
    pub max_bindings: u16,
    /// The encodings that requests may be in, beside raw ones. Empty, the default: all.
    pub encodings: Vec<Encoding>,
    /// How many bytes of unfinished messages are kept for one connection. 128 MiB. The memory behind them
    /// can be twice as much, since buffers double.
    pub max_assembly: usize,
    /// The bytes of unfinished messages that are kept for all connections that share this. 1 GiB.
    pub assembly_budget: Budget,
}

impl Limits {
    /// What a side with these limits says of itself.
    pub fn hello(&self) -> Hello {
        Hello {
            max_frame: self.max_frame.max(floor::MAX_FRAME),
            max_message: self.max_message.max(floor::MAX_MESSAGE),
            max_calls: self.max_calls.max(floor::MAX_CALLS),
            max_bindings: self.max_bindings.max(floor::MAX_BINDINGS),
            encodings: self.encodings.clone(),
            agent: concat!("steeple/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: floor::MAX_FRAME,
            max_message: floor::MAX_MESSAGE,
            max_calls: floor::MAX_CALLS,
            max_bindings: floor::MAX_BINDINGS,
            encodings: Vec::new(),
            max_assembly: 128 * 1024 * 1024,
            assembly_budget: Budget::new(1024 * 1024 * 1024),
        }
    }
}
