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
//!
//! # The stack by hand
//!
//! [`Client::connect`](Client) puts the [`DefaultStack`] around the replicas that it is given. This is the same stack to begin
//! with; what is to be otherwise is changed, left out or added:
//!
//! ```
//! use std::time::Duration;
//!
//! use steeple::{
//!     Client, Connector, Endpoint, Error,
//!     layers::{
//!         BalanceLayer, LogLayer, PeerAndSizes, PropagateTraceLayer, Replicas, RetryLayer, RetryPolicy,
//!         TimeoutLayer, balance::PeakEwma, resolve::Fixed,
//!     },
//! };
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // The endpoints, kept connected. Others find them by DNS, in a file, or by a stream.
//! let endpoints: [Endpoint; 2] = ["tcp://10.0.0.1:7000".parse()?, "tcp://10.0.0.2:7000".parse()?];
//! let replicas = Replicas::builder(Fixed::new(endpoints)?, Connector::new()).lazy().start();
//!
//! let stack = ServiceBuilder::new()
//!     // Outermost: it tells of calls and not of attempts.
//!     .layer(LogLayer::new().describe(PeerAndSizes))
//!     // Calls that a handler makes go on with its trace; others begin none.
//!     .layer(PropagateTraceLayer::new().begin(false))
//!     // One deadline for all attempts. What is below keeps it, so it needs no timer.
//!     .layer(TimeoutLayer::new(Duration::from_secs(20)).kept_below())
//!     // Each attempt goes to another replica; a full queue here is worth one, where there is another.
//!     .layer(RetryLayer::new(RetryPolicy::new().elsewhere(true)))
//!     // The replica of each attempt: swap the picker here, or the whole layer.
//!     .layer(BalanceLayer::new(PeakEwma::default()))
//!     .service(replicas);
//! let client = Client::new(stack);
//! # Ok(())
//! # }
//! ```
//!
//! **Another picker** is an argument: `BalanceLayer::new(RoundRobin::default())`, or a function of yours with
//! [`pick_fn`](crate::layers::balance::pick_fn); the example `custom_balancer` has one. **Another balancer** is any
//! `Layer<Replicas<Channel>>` in the place of that one.
//!
//! **tower's own layers** go anywhere above the replicas, and `map_err(from_tower)` above those whose errors are boxed:
//! below the retries if these should see what they do, else outermost. A limit on each replica goes into
//! [`Builder::layer`](crate::layers::replicas::Builder::layer):
//!
//! ```
//! # async fn example(client: steeple::Client) -> Result<(), steeple::Error> {
//! use std::time::Duration;
//!
//! use steeple::{Client, layers::from_tower};
//! use tower::ServiceBuilder;
//!
//! // Around the default stack: at most a hundred calls at once, others fail at once.
//! let stack = ServiceBuilder::new()
//!     .map_err(from_tower)
//!     .load_shed()
//!     .concurrency_limit(100)
//!     .service(client.into_service());
//! let mut client = Client::new(stack);
//! let answer: String = client.call("Shout", "hello").await?;
//! # Ok(())
//! # }
//! ```

mod batch;
mod builder;
mod call;
mod census;
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
    call::Call,
    channel::Channel,
    connector::{Connecting, Connector},
    endpoints::Endpoints,
    item::Item,
    payload::{Answer, Payload},
    stack::{DefaultFuture, DefaultStack},
    started::Started,
    typed::Client,
};
