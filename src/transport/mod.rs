//! Streams: how two processes come to share one, and what it is called.
//!
//! A connection needs bytes that go both ways and nothing else: whatever is [`Io`] can be one. This module
//! says how a stream comes to be, on either side:
//!
//! ```text
//!      Endpoint "tcp://10.0.0.1:7000"            Endpoint "tcp://0.0.0.0:7000"
//!               │                                          │ bind
//!   ┌───────────▼───────────┐                  ┌───────────▼───────────┐
//!   │  Dial: a Service of   │                  │       Listener        │
//!   │  Endpoint; any tower  │                  │ accept, one after the │
//!   │  Layer may wrap it    │                  │ other                 │
//!   └───────────┬───────────┘                  └───────────┬───────────┘
//!               ▼                                          ▼
//!       (Io, Address of the server)                (Io, Address of the client)
//! ```
//!
//! An [`Endpoint`] is what somebody wrote in a configuration: a place to dial or to listen on. An
//! [`Address`] is what was found there: the other side of one stream, or a bound listener.
//!
//! Unless they are told otherwise, a [`Connector`](crate::Connector) dials by a [`NetDialer`] and
//! [`Server::bind`](crate::Server::bind) listens by a [`NetListener`], which go by the endpoint's scheme:
//!
//! | endpoint | dialled by | listened on by | feature |
//! |---|---|---|---|
//! | `tcp://host:port` | [`TcpDialer`] | [`TcpListener`] | |
//! | `unix:///path`, `unix://@name` | `UnixDialer` | `UnixListener` | |
//! | `tls://host:port` | [`NetDialer`], by a `TlsClient` | `TlsServer::bind` | `tls` or `tls-aws-lc` |
//! | `mem://name` | `mem::MemNetwork` | `mem::MemNetwork` | `test` |
//! | any | a tower `Service`, often a `service_fn` | two methods, or an [`Incoming`] stream | |
//!
//! # Before the first frame
//!
//! What is put around a stream before its first frame is a [`Wrap`], on either side: it may authenticate, encrypt,
//! compress or count, or refuse, and then the other side is told why. `TlsClient`, `TlsServer` and `Compression` are
//! such wrappers, and go around streams of any kind, of yours too. It runs where it holds up nobody else: on a client
//! it is a part of the dial, on a server it is in the client's own task and within
//! [`handshake_timeout`](crate::Options::handshake_timeout).
//!
//! # What holds over each
//!
//! One suite of tests runs over all of these: calls at a time, errors, cancelling, deadlines, draining, large bodies,
//! calls in both directions, hostile bytes, and leaving.
//!
//! | transport | latency of a new connection, in round trips | what an idle connection holds besides | what a handler knows of its caller besides the [`Address`] |
//! |---|---|---|---|
//! | TCP | 1 | – | – |
//! | unix socket | 0 | – | process, user and group, as `tokio::net::unix::UCred` |
//! | in memory | 0 | – | – |
//! | TLS | 2 | 9 KiB | – |
//! | mutual TLS | 2 | the same, and the certificate | its certificate, as `PeerCertificate` |
//! | TCP compressed by zstd | 2 | 75 KiB after four seconds | – |
//! | TCP compressed by DEFLATE | 2 | 130 KiB after half a second | – |
//! | TLS compressed | 3 | both | as with TLS |
//! | a stream, listener or wrapper of one's own | its own | its own | what its [`Wrap`] adds to [`Opened::extensions`] |
//!
//! The memory is the resident memory of a server, measured with 1000 connections that have had a call of 64 KiB; it includes
//! what the allocator keeps for the next. A plain connection that is idle holds some 7 KiB itself. While there is traffic, a
//! compressed connection holds some 300 KiB; a keepalive ping is traffic too, and after it the connection rests as before.

mod address;
#[cfg(any(feature = "deflate", feature = "zstd"))]
mod compress;
mod dial;
mod endpoint;
mod failed;
#[cfg(feature = "codec")]
pub mod framed;
mod incoming;
mod listener;
#[cfg(feature = "test")]
pub mod mem;
mod net;
mod opened;
mod tcp;
#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
mod tls;
#[cfg(unix)]
mod unix;
mod wrap;

use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(any(feature = "deflate", feature = "zstd"))]
pub use self::compress::{Algorithm, Compressed, Compression};
#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
pub use self::tls::{PeerCertificate, TlsClient, TlsIdentity, TlsListener, TlsServer, TlsStream};
#[cfg(unix)]
pub use self::unix::{UnixDialer, UnixListener};
pub use self::{
    address::Address,
    dial::{Dial, Dialing},
    endpoint::{Endpoint, InvalidEndpoint},
    incoming::Incoming,
    listener::Listener,
    net::{NetDialer, NetListener, NetStream},
    opened::{Handshake, Open, Opened, Refused},
    tcp::{TcpDialer, TcpListener, TcpOptions},
    wrap::{Wrap, Wrapped},
};

/// A stream of bytes in both directions: all that a connection asks of a transport.
///
/// Implemented for everything that fits; nothing else can implement it. A stream that is not `Unpin` is
/// boxed first, with `Box::pin`. Writing many slices at once ([`AsyncWrite::poll_write_vectored`]) is used
/// where the stream can do it.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}
