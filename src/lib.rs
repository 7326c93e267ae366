//! RPC as a stack of tower services.
//!
//! A client is a tower `Service` from [`Request`] to [`Response`], and so is a server. What lies between them –
//! deadlines, retries, limits, balancing – is a `Layer`: tower's, ours or yours. Below the stack, one connection
//! carries any number of calls in both directions.
//!
//! ```
//! use std::time::Duration;
//!
//! use steeple::{Channel, Client, Error, Router, Server, from_tower, layers::TimeoutLayer};
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // The server is functions by name, under a layer.
//! let router = Router::new().route("Shout", |text: String| text.to_uppercase());
//! let service = ServiceBuilder::new().concurrency_limit(100).service(router);
//! let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(service);
//!
//! // The client calls with values, over a stack that has what most want ...
//! let mut client = Client::connect(server.address()).await?;
//! let answer: String = client.call("Shout", "hello").timeout(Duration::from_secs(2)).await?;
//! assert_eq!(answer, "HELLO");
//!
//! // ... or over yours: a connection, under layers, the outermost first.
//! let stack = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_secs(2)))
//!     // tower's own layers have errors of their own.
//!     .map_err(from_tower)
//!     .load_shed()
//!     .concurrency_limit(100)
//!     .service(Channel::connect(server.address()).await?);
//! let answer: String = Client::new(stack).call("Shout", "again").await?;
//! assert_eq!(answer, "AGAIN");
//!
//! server.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The map
//!
//! A call goes down the modules on one side and up on the other. Each knows those below it and nothing of
//! those above.
//!
//! | module | is | holds |
//! |---|---|---|
//! | [`client`] | calling | [`Client`], with values; [`Batch`], calls that leave together; [`Channel`], one connection; [`Connector`], which makes them |
//! | [`server`] | serving | [`Server`], the accept loop; [`ServerHandle`], which watches and stops it |
//! | [`router`] | method name → handler | [`Router`], what a [`Handler`](router::Handler) is, and its arguments |
//! | [`layers`] | policy | [`replicas`](layers::replicas), endpoints kept connected, and [`balance`](layers::balance), which of them is called; deadlines, retries, logging and more; [`from_tower`], by which tower's layers and ours understand each other |
//! | [`codec`] | values ⇄ bytes | [`Codec`] and those that ship; [`encode`](codec::encode) and [`decode`](codec::decode) |
//! | [`conn`] | frames ⇄ calls | [`Peer`], the other end; [`Options`]; [`Builder`](conn::Builder), for any stream |
//! | [`transport`] | streams | [`Endpoint`], [`Address`], TCP, unix sockets, TLS, compression, and what a dialler, a listener and a wrapper are |
//! | [`wire`] | bytes ⇄ frames | [`Wire`](wire::Wire), the seam; [`native`](wire::native), our own format with its specification |
//! | [`message`] | what a service sees | [`Request`], [`Response`], [`Body`], [`Metadata`] |
//!
//! What a service sees are bytes. Client and router make them of values, and values of them, by a codec. So can you:
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use steeple::codec::{Arena, Json, decode, encode};
//!
//! let sizes = vec![("S", 36), ("M", 38)];
//! let body = encode(&Json, &sizes, &mut Arena::new())?;
//! assert_eq!(body.as_bytes(), r#"[["S",36],["M",38]]"#);
//! let again: Vec<(String, u32)> = decode(&Json, &body)?;
//! # assert_eq!(again.len(), 2);
//! # }
//! # Ok::<_, steeple::Error>(())
//! ```
//!
//! All of them tell `tracing` what happens, under the targets of [`events`].
//!
//! Below all of them is the crate `steeple-layers`, whose names are found here: [`Context`] and [`Carry`], by
//! which a layer knows a request, and [`Error`], by which it knows a failure. It knows no connection, so what
//! is written against it works over any tower service.
//!
//! # Errors
//!
//! There is one [`Error`], and it answers three questions. Its [`kind`](Error::kind): what happened, and is it
//! useful to try again? Its [`origin`](Error::origin): who says so? Its [`execution`](Error::execution): may
//! the handler have run, or is it [safe](Execution::is_safe_to_repeat) to try again? tower's own layers box it, and
//! have errors of their own: [`from_tower`] outside of them, as above, makes each an `Error` again.
//!
//! # Cancel safety
//!
//! Every future here may be dropped at any time. What that does:
//!
//! | dropped | what happens |
//! |---|---|
//! | [`ResponseFuture`] | the call is cancelled: not sent if it was not yet, else stopped at the other side. [`detach`](ResponseFuture::detach) lets it run |
//! | a [`Call`](client::Call), awaited or not | as above |
//! | the last clone of a [`Started`] call | as above; [`detach`](Started::detach) lets it run |
//! | a [`Run`](client::Run) of a batch | its calls that have no answer yet are cancelled, as above; those that have keep it |
//! | an [`Item`] of a batch | nothing |
//! | the last clone of a [`Channel`] | its connection drains: calls under way end |
//! | a dial | it ends, and the connection is not made |
//! | the future of [`Server::serve`] | all its connections end at once; [`drain`](ServerHandle::drain) is the kind way |
//! | a drain that is waited for | it goes on |
//! | a wait for the state of a connection, or a [`ping`](Peer::ping) | nothing |
//!
//! The other side of the first line: **a handler is dropped** at an `await` when its caller cancels, or its
//! deadline passes. What has to run to its end goes into a task of its own, or is a plain function that is
//! [`blocking`](router::Handler::blocking).
//!
//! # Defaults
//!
//! | what | unless set | by |
//! |---|---|---|
//! | the deadline of a call on a [`DefaultStack`] | 20 s | [`ClientBuilder::timeout`](client::ClientBuilder::timeout), [`Call::timeout`](client::Call::timeout) |
//! | the deadline of a call on a bare [`Channel`] | none | [`Context::set_timeout`], [`Call::timeout`](client::Call::timeout) |
//! | a call of a [`DefaultStack`] without a live replica | waits until its deadline | [`Call::fail_fast`](client::Call::fail_fast), [`ClientBuilder::fail_fast`](client::ClientBuilder::fail_fast) |
//! | what is tried again, where safe and useful | 3 attempts in all, of 20 % of the calls and 10 per second | [`ClientBuilder::retry`](client::ClientBuilder::retry) |
//! | which of several replicas is called | the better of two, by latency and pending calls | [a stack by hand](client#the-stack-by-hand) |
//! | a lost connection is dialled again | at once, 10 ms growing to 1 s after the one before | [`Builder::backoff`](layers::replicas::Builder::backoff) |
//! | what a server puts around its service | panics, log, inherited deadlines | [`Server::serve_bare`] |
//! | a dial | 10 s | [`Connector::dial_timeout`] |
//! | the peer's opening | 10 s | [`Options::handshake_timeout`] |
//! | a silent peer is asked, and has to answer | after 30 s, within 10 s | [`Options::keepalive`] |
//! | a peer that takes no bytes | 30 s | [`Options::write_stall`] |
//! | a drain | 30 s | [`Options::drain_grace`] |
//! | calls under way on a connection | 65 536 | [`Options::max_calls`] |
//! | calls that wait for it | 32 768, then the oldest fails | [`Options::max_pending`], [`Options::overflow`] |
//! | a handler, polled where its request comes in | 20 µs, then it gets a task | [a policy for its route](router#where-a-handler-runs) |
//! | handlers of a connection | 4096, others wait | [`Options::max_handlers`] |
//! | handlers of a server, of all connections | 8192, others wait | [`Quota::max_handlers`](conn::Quota::max_handlers) |
//! | requests that wait, of a connection | 8192 and 64 MiB, others are refused | [`Options::max_waiting`] |
//! | requests that wait, of a server | 1 GiB, then those of connections that have many are refused | [`Quota::max_waiting`](conn::Quota::max_waiting) |
//! | unsent answers, of a connection and of a server | 128 MiB and 1 GiB | [`Options::max_unsent`], [`Quota::max_unsent`](conn::Quota::max_unsent) |
//! | bodies that are compressed | none | a `CompressionLayer` among the [layers], [`Body::set_compression`] |
//! | compressed requests, plain, whose handlers run | 1 GiB of all connections | [`Quota::max_expanded`](conn::Quota::max_expanded) |
//! | connections of a server | any number, of any age, however idle | [`Server::max_connections`], [`max_age`](Server::max_age), [`max_idle`](Server::max_idle) |
//! | lame duck before a drain | none | [`Server::lame_duck`] |
//! | the longest body | 64 MiB | [`Limits::max_message`](wire::native::Limits::max_message) |
//!
//! The reasons stand where these are set. All queues of a connection and their bounds: [`conn`](conn#queues).
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `bincode` | yes | values as bincode 2, fixed-width integers: the default codec |
//! | `json` | yes | values as JSON, so that tools in any language can talk to a server |
//! | `postcard` | | values as postcard: varints, about a fifth smaller than bincode |
//! | `msgpack` | | values as MessagePack |
//! | `lz4` | | bodies compressed one by one by LZ4: a `CompressionLayer` among the [layers] |
//! | `zstd` | | the same by Zstandard, and [`Compression`](transport) of whole connections |
//! | `deflate` | | compression of whole connections by DEFLATE |
//! | `codec` | | the native wire as `tokio_util::codec`, to frame streams of your own |
//! | `http` | | [`Carry`] for `http::Request`, so that the layers work over HTTP services |
//! | `dns` | | replicas found by [DNS](layers::resolve) |
//! | `tls` | | `tls://` endpoints, and TLS around any stream: rustls with the cryptography of ring |
//! | `tls-aws-lc` | | the same with that of aws-lc |
//! | `webpki-roots` | | beside either: trust in whom browsers trust, for systems that trust nobody |
//! | `test` | | the network in memory with seeded faults, `transport::mem`; the probe of layers, `test` |

pub mod client;
pub mod codec;
pub mod conn;
pub mod events;
pub mod layers;
pub mod message;
pub mod router;
pub mod server;
pub mod transport;
pub mod wire;

#[cfg(feature = "test")]
pub use steeple_layers::test;
pub use steeple_layers::{
    Application, AsError, BoxError, Carry, Context, Error, Execution, Kind, Lifecycle, Method,
    Origin, Replay,
};

pub use self::{
    client::{Batch, Channel, Client, Connector, DefaultStack, Item, Started},
    codec::{Codec, ErrorExt},
    conn::{Connection, Options, Overflow, Peer, ResponseFuture, RpcService, Stats},
    layers::from_tower,
    message::{Body, BodyCompression, Encoding, Extensions, Metadata, Request, Response},
    router::Router,
    server::{Server, ServerHandle, Stopped},
    transport::{Address, Endpoint},
};

/// The code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So does that in the page on tuning.
#[cfg(doctest)]
#[doc = include_str!("../docs/tuning.md")]
struct Tuning;
