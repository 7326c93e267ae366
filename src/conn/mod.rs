//! Frames ⇄ calls: one connection, shared by any number of calls in both directions.
//!
//! ```text
//!    Channel, Peer          handlers' tasks                the user's Service
//!        │  ▲                     │                                ▲
//!   call │  │ answer              │ answer                         │ request
//!        ▼  │                     ▼                                │
//!  ┌─────────────── outbox, under one lock ──────────────┐   ┌─────┴─────┐
//!  │ in flight: a slab   pending   output   bulk lane    │   │  serving  │
//!  └───────────▲──────────────────────│──────────────────┘   └─────▲─────┘
//!              │ answers              │ output                     │ requests
//!        ┌─────┴──────────────────────▼────────────────────────────┴─────┐
//!        │            driver: one task, owns the stream                  │
//!        └───────────────────────────────▲───────────────────────────────┘
//!                                        │ bytes
//! ```
//!
//! * `inflight` and `state` are pure: they know neither a socket nor a clock. The one holds the calls without
//!   an answer, the other what the two sides owe each other besides calls.
//! * `outbox` is where callers encode; `driver` is the only one that reads or writes the stream.
//! * `serving` polls handlers in place and gives those that are pending a task (`job`).
//!
//! # Queues
//!
//! Each is bounded, and none of the bounds stops the reading of answers:
//!
//! | queue | bound | when it is full |
//! |---|---|---|
//! | calls without an answer | [`max_calls`](Options::max_calls), and the peer's own | further ones are pending |
//! | output | [`write_buffer`](Options::write_buffer) | further calls are pending |
//! | pending calls | [`max_pending`](Options::max_pending) | by [`overflow`](Options::overflow) |
//! | requests that wait for the service | [`max_waiting`](Options::max_waiting) | refused, not started |
//! | handlers in tasks | [`max_handlers`](Options::max_handlers) | further requests wait |
//! | handlers of several connections | [`Quota::max_handlers`] | further requests wait, or are refused |
//! | answers not yet written | [`max_unsent`](Options::max_unsent) | no further handler starts |
//! | those of several connections | [`Quota::max_unsent`] | none starts where the peer does not read |
//! | refusals and pongs not yet written | 1 MiB | the connection ends |
//! | the calls of a batch | as single calls, for all of them or none | as single calls |
//! | one-way messages to send | [`write_buffer`](Options::write_buffer) | refused to the sender |
//! | messages that come in pieces | 4096, [`max_assembly`], [`assembly_budget`] | refused |
//! | those of which the rest is thrown away | [`max_calls`] of the wire | the connection ends |
//! | either, while nothing more of them comes | [`frame_timeout`](Options::frame_timeout) | the connection ends |
//!
//! What is left in the output of a call that ended before it was written counts against `write_buffer`; a body that is
//! a slice of its own there is let go at once.
//!
//! [`max_assembly`]: crate::wire::native::Limits::max_assembly
//! [`assembly_budget`]: crate::wire::native::Limits::assembly_budget
//! [`max_calls`]: crate::wire::native::Limits::max_calls

mod answer;
mod buffer;
mod builder;
mod cause;
mod clock;
mod driver;
mod expansion;
mod inflight;
mod job;
mod leavings;
mod mailbox;
mod one_by_one;
mod options;
mod outbox;
mod peer;
mod quota;
mod response_future;
mod service;
mod serving;
mod shared;
mod slot;
mod state;
mod stats;
mod told;
mod tray;
mod unserved;
mod values;
mod waiting;
mod window;
mod witness;

pub use self::{
    builder::Builder,
    driver::Connection,
    one_by_one::OneByOne,
    options::{Options, Overflow, Spawn},
    peer::Peer,
    quota::{Excess, Quota},
    response_future::ResponseFuture,
    service::RpcService,
    stats::{Outcomes, Stats},
    unserved::Unserved,
    values::Values,
};
pub(crate) use self::{mailbox::CallResult, tray::Tray, witness::Witness};
