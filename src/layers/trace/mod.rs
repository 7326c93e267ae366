//! Calls that belong to one trace, as the [W3C](https://www.w3.org/TR/trace-context/) writes it down.
//!
//! A trace is a tree of spans over many processes. Two names in the metadata say where in it a call belongs:
//! `traceparent` and `tracestate`. [`PropagateTraceLayer`] on a client writes them, [`TraceLayer`] on a server reads
//! them; what a handler calls belongs to the handler's span without an argument passed along. Nothing of
//! OpenTelemetry is needed, and any service that follows the W3C can be on the other side.
//!
//! ```text
//!  client                              server
//!  PropagateTraceLayer                 TraceLayer                     PropagateTraceLayer
//!    a span for the call  ──metadata──▶  its child, the handler's  ─────▶  a span for the nested call
//! ```
//!
//! With a tracer of its own, a client says by [`PropagateTraceLayer::current`] which span is the current one.
//!
//! What is current belongs to the poll of the handler, not to the task: a task that the handler spawns puts the
//! handler's [`TraceContext`] into the [extensions](crate::Request::extensions_mut) of its requests.

mod client;
mod context;
mod current;
mod ids;
mod server;

pub use self::{
    client::{PropagateTrace, PropagateTraceLayer},
    context::{InvalidTrace, TraceContext},
    server::{Trace, TraceFuture, TraceLayer},
};

/// The name of the metadata that says where a call belongs.
pub const TRACEPARENT: &str = "traceparent";

/// The name of the metadata that the systems on the way have added.
pub const TRACESTATE: &str = "tracestate";
