//! Policy: what lies between a caller and a connection, and between a connection and a handler.
//!
//! | layer | what it does | side | usual place |
//! |---|---|---|---|
//! | [`CatchPanicLayer`] | a panic fails its call and is logged | server | outermost |
//! | [`LogLayer`] | a line for every call | both | outermost, or inside of [`CatchPanicLayer`] |
//! | [`PolicyLayer`] | what holds for each method: deadline, attempts, priority and more | both | outside of what obeys it |
//! | [`TimeoutLayer`] | deadlines: a default, a cap, a limit for each attempt | both | outside of retries; for attempts, inside |
//! | [`InheritLayer`] | calls made in a handler end with it | server | inside of [`TimeoutLayer`] |
//! | [`AdmissionLayer`] | so many calls at once, and under overload the newest first; others are refused at once | server | directly around the handlers |
//! | [`RateLimitLayer`] | so many calls in so long, of all or of each key | both | on a server outside of what it protects; on a client inside of retries |
//! | [`DrainLayer`] | refuses calls from a moment on, and tells when the others have ended | both | outside of what is to drain |
//! | [`FallbackLayer`] | answers in place of a service that fails | client | outside of [`RetryLayer`] |
//! | [`CoalesceLayer`] | callers who ask the same at the same time share one call | both | outside of [`RetryLayer`] |
//! | [`RetryLayer`] | tries again what is safe and useful | client | inside of [`TimeoutLayer`] |
//! | [`HedgeLayer`] | makes slow calls once more, elsewhere; the first answer wins | client | inside of [`RetryLayer`], outside of [`BalanceLayer`] |
//! | [`BreakerLayer`] | refuses calls while too many fail | client | on each endpoint, by [`Replicas::builder`]; or inside of [`RetryLayer`] |
//! | [`BalanceLayer`] | the replica of each call | client | innermost, over [`Replicas`] |
//! | [`ReconnectLayer`] | makes of a [`Connector`](crate::Connector) a service that keeps one connection to one endpoint | client | innermost |
//! | [`OpaqueLayer`](explain::OpaqueLayer) | shows a layer from elsewhere where a stack is [explained](explain) | both | around that layer |
//! | [`ConcurrencyLimitLayer`] | so many calls at once | both | see below |
//! | [`LoadShedLayer`] | refuses what is not ready | both | directly outside of a limit |
//! | [`AuthLayer`] | lets in who may call, by metadata, certificate or address | server | outside of what only they may cost |
//! | [`AsyncAuthLayer`] | the same, by asking somebody | server | likewise |
//! | [`BearerLayer`] | adds a token to each call, and gets the next one in time | client | inside of retries |
//! | [`TraceLayer`] | continues the caller's [trace] | server | outside of what is to belong to it |
//! | [`PropagateTraceLayer`] | tells the server which trace a call belongs to | client | inside of retries: each attempt is a span; the default client has it outside, and begins no traces |
//! | [`TransformLayer`] | bodies go through functions of yours | both | inside of what looks at bodies |
//! | `CompressionLayer`, with the feature `lz4` or `zstd` | has long bodies compressed | both | inside of what changes bodies |
//! | [`FaultLayer`] | delays, fails, loses and repeats calls on purpose | both | innermost |
//!
//! The first layer of a [`ServiceBuilder`](tower::ServiceBuilder) is the outermost: it sees a call first and its
//! answer last. Most of them are written in the crate `steeple-layers`, without knowledge of a connection, over any
//! tower service; what they cost stands there. Those that need more are written here:
//!
//! | layer | costs a call |
//! |---|---|
//! | [`AuthLayer`] | your function, and nothing that can be measured |
//! | [`AsyncAuthLayer`] | your function, and a clone of the service inside |
//! | [`BearerLayer`] | a lock, and the list of the metadata |
//! | [`TraceLayer`] | the parsing of a name, a random number, and the map of the extensions |
//! | [`PropagateTraceLayer`] | a random number, a text of 55 bytes, and the list of the metadata |
//! | [`TransformLayer`] | 17 ns, and your functions |
//! | `CompressionLayer` | a comparison; the time of compressing where it is done, and one branch where nothing is marked |
//!
//! [`Client::connect`](crate::Client) and [`Server::serve`](crate::Server::serve) put the usual ones together:
//! the default stacks [of clients](crate::client#the-stack-by-hand) and [of
//! servers](crate::server#the-default-stack). By hand:
//!
//! ```
//! use std::time::Duration;
//!
//! use steeple::{
//!     Body, Channel, Error, Request, Response, Server,
//!     layers::{
//!         CatchPanicLayer, InheritLayer, LogLayer, PeerAndSizes, RetryLayer, RetryPolicy, TimeoutLayer,
//!     },
//! };
//! use tower::{Service, ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let service = ServiceBuilder::new()
//!     .layer(CatchPanicLayer::new())
//!     .layer(LogLayer::new().describe(PeerAndSizes))
//!     .layer(TimeoutLayer::without_default().cap(Duration::from_secs(60)))
//!     .layer(InheritLayer::new())
//!     .service(service_fn(|request: Request| async move {
//!         Ok::<_, Error>(Response::new(request.into_body()))
//!     }));
//! let server = Server::bind("tcp://127.0.0.1:0").await?;
//! let handle = server.handle();
//! tokio::spawn(server.serve_bare(service));
//!
//! let mut client = ServiceBuilder::new()
//!     .layer(LogLayer::new().describe(PeerAndSizes))
//!     .layer(TimeoutLayer::new(Duration::from_secs(20)))
//!     .layer(RetryLayer::new(RetryPolicy::new().idempotent(["Echo"])))
//!     .service(Channel::connect(handle.address()).await?);
//! let response = client.call(Request::new("Echo", Body::from("hello"))).await?;
//! assert_eq!(response.body().as_bytes(), "hello");
//! # handle.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! Whether the order is one that does what was meant, a stack tells itself: [`explain`], or
//! [`Client::explain`](crate::Client::explain).
//!
//! # A limit for each caller
//!
//! [`RateLimitLayer`] tells callers apart by what a function finds in the request. What the caller cannot choose is a key:
//! the IP of its [`Peer`](crate::Peer), which all its connections share; its certificate; or whom it has shown itself to be,
//! as the service keeps it with the connection. Those of whom nothing is known have one limit together:
//!
//! ```
//! # #[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
//! # fn example() {
//! use steeple::{
//!     Peer, Request,
//!     layers::{RateLimitLayer, rate_limit::Rate},
//!     transport::PeerCertificate,
//! };
//!
//! let limit = RateLimitLayer::new(Rate::per_second(100)).max_waiting(0);
//!
//! let by_ip = limit.clone().by(|request: &Request| Peer::of(request)?.address()?.ip());
//!
//! let by_certificate = limit.clone().by(|request: &Request| {
//!     let id = PeerCertificate::of(request)?.spiffe_id()?;
//!     Some(id.to_owned())
//! });
//!
//! /// What a handler has kept: `peer.values().insert(User(id))`.
//! #[derive(Clone, PartialEq, Eq, Hash)]
//! struct User(u64);
//!
//! let by_user = limit.by(|request: &Request| Peer::of(request)?.values().get::<User>());
//! # let _ = (by_ip, by_certificate, by_user);
//! # }
//! ```
//!
//! # tower's own layers
//!
//! They go over the same services. Their errors are boxed, and [`from_tower`] outside of them makes each an
//! [`Error`](crate::Error) again.
//!
//! [`ConcurrencyLimitLayer`] holds a permit from the moment it is ready, so a clone that was made ready and does
//! not call keeps others waiting. Around the service of a server that does no harm: the connection calls
//! what it has made ready. On a client it asks for [`LoadShedLayer`] outside of it, or for callers that drop
//! what they do not use. A layer of it in `ServiceBuilder::layer` limits each service it is put around:
//! for one limit over all connections of a server, which clone one service, that is the same. Its queue is first come,
//! first served whatever comes, and not bounded by it: under overload [`AdmissionLayer`] serves more.

pub mod auth;
pub mod trace;

#[cfg(any(feature = "lz4", feature = "zstd"))]
mod compression;
mod describe;
mod from_tower;
mod transform;

pub use steeple_layers::{
    AdmissionLayer, Backoff, BalanceLayer, BreakerLayer, BreakerPolicy, CatchPanicLayer,
    CoalesceLayer, DrainLayer, FallbackLayer, FaultLayer, HedgeLayer, InheritLayer, LogLayer,
    PolicyLayer, Priority, RateLimitLayer, ReconnectLayer, Replicas, RetryLayer, RetryPolicy,
    TimeoutLayer, admission, balance, breaker, catch_panic, coalesce, drain, explain, fallback,
    fault, hedge, inherit, log, policies, rate_limit, replicas, resolve, retry, timeout,
};
pub use tower::{limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer};

#[cfg(any(feature = "lz4", feature = "zstd"))]
pub use self::compression::{Compress, CompressFuture, CompressionLayer};
pub use self::{
    auth::{AsyncAuthLayer, AuthLayer, BearerLayer},
    describe::PeerAndSizes,
    from_tower::from_tower,
    trace::{PropagateTraceLayer, TraceContext, TraceLayer},
    transform::{Transform, TransformFuture, TransformLayer},
};
