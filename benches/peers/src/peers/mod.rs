//! The peers, each behind the same two traits, so that the hot loop is compiled for every one of them.

mod bare;
mod blocking;
mod raw;
mod tarpc;
mod tonic;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use clap::ValueEnum;
use tokio::net::TcpListener;

use crate::Error;

pub(crate) use self::bare::Bare;
pub(crate) use self::blocking::Blocking;
pub(crate) use self::raw::Raw;
pub(crate) use self::tarpc::Tarpc;
pub(crate) use self::tonic::Tonic;

/// The longest body of any workload.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Names a peer on the command line and in every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// The bare tokio multiplexer: what one socket and one task per call cost without any library.
    Raw,
    /// Blocking threads and no callers: what the sockets alone can do.
    Std,
    /// A steeple `Channel` and a service without layers.
    Bare,
    /// The paved road of steeple.
    Steeple,
    /// tarpc, over TCP with bincode.
    Tarpc,
    /// tonic, gRPC over HTTP/2.
    Tonic,
}

impl Subject {
    /// The name in tables and rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Std => "std",
            Self::Bare => "bare",
            Self::Steeple => "steeple",
            Self::Tarpc => "tarpc",
            Self::Tonic => "tonic",
        }
    }

    /// Whether it can be measured yet. One that cannot has null rows.
    pub(crate) fn exists(self) -> bool {
        !matches!(self, Self::Steeple)
    }

    /// The error of a process that was asked to run one that does not exist.
    pub(crate) fn missing(self) -> Error {
        format!("{} does not exist yet", self.name()).into()
    }
}

/// A way to call, on tokio.
pub(crate) trait Peer: 'static {
    /// What a caller holds. Its clones share one connection.
    type Caller: Caller;

    /// Accepts and echoes until the process ends.
    fn serve(listener: TcpListener) -> impl Future<Output = io::Result<()>> + Send;

    /// Opens one connection.
    fn connect(addr: SocketAddr) -> impl Future<Output = Result<Self::Caller, Error>> + Send;
}

/// One caller on a connection.
pub(crate) trait Caller: Clone + Send + 'static {
    /// The body of an answer.
    type Reply: AsRef<[u8]> + Send;

    /// Sends `payload` and waits for its echo.
    fn call(&mut self, payload: &Bytes) -> impl Future<Output = Result<Self::Reply, Error>> + Send;
}
