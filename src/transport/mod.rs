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
//! [`TcpDialer`] and [`TcpListener`] are TCP. A dialler of one's own is a tower `Service`, often a
//! `tower::service_fn`; a listener of one's own is two methods. With the feature `test`, `mem` is a network
//! in memory whose faults a test chooses and can repeat.

mod address;
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

#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
pub use self::tls::{PeerCertificate, TlsClient, TlsIdentity, TlsListener, TlsServer};
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
