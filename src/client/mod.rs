//! Calling: a [`Connector`] makes connections, a [`Channel`] is one, and a [`Client`] calls with values over one or
//! over a stack.
//!
//! ```text
//!   Client ── codec, arena          client.call("Add", &(2, 3)).timeout(d).await
//!     │    └─ Batch ── Items        calls that leave together
//!     │    └─ Started               a call that runs by itself
//!     ▼
//!   a stack: the DefaultStack, or yours, of layers
//!     ▼
//!   Channel ── made by Connector, of an Endpoint
//! ```

mod batch;
mod builder;
mod call;
mod channel;
mod connector;
mod endpoints;
mod issue;
mod item;
mod lifecycle;
mod payload;
mod stack;
mod started;
mod typed;

pub use self::{
    batch::{Batch, Run},
    builder::ClientBuilder,
    call::{Call, CallFuture},
    channel::Channel,
    connector::{Connecting, Connector},
    endpoints::Endpoints,
    item::Item,
    payload::{Answer, Payload},
    stack::{DefaultFuture, DefaultStack},
    started::Started,
    typed::Client,
};
