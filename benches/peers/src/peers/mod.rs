//! The peers, each behind the same two traits, so that the hot loop is compiled for every one of them.

mod bare;
mod blocking;
mod handler;
mod over;
mod raw;
pub(crate) mod settings;
mod steeple;
mod tarpc;
mod tonic;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use clap::ValueEnum;
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpListener;

use crate::Error;
use crate::order::Order;
use crate::workload::{Format, Over, Shape, Workload};

pub(crate) use self::bare::Bare;
pub(crate) use self::blocking::Blocking;
pub(crate) use self::handler::{Handler, counted};
pub(crate) use self::raw::Raw;
pub(crate) use self::steeple::Steeple;
pub(crate) use self::tarpc::Tarpc;
pub(crate) use self::tonic::Tonic;

/// The longest body of any workload.
pub(crate) const MAX_BODY: usize = 64 * 1024 * 1024;

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

    /// Whether it can be measured. A peer without callers has null rows where more is asked of callers than to
    /// keep calling.
    pub(crate) fn runs(self, workload: &Workload) -> bool {
        match self {
            Self::Std => workload.shape == Shape::Closed,
            Self::Raw | Self::Bare | Self::Steeple => true,
            Self::Tarpc | Self::Tonic => workload.shape != Shape::OneWay,
        }
    }

    /// Whether it is one of those that the workload compares. Where values travel, these are the peers that have a
    /// codec of that name; where connections go over more than TCP, those that are set up here to do that.
    pub(crate) fn takes_part(self, workload: &Workload) -> bool {
        let goes_over = match (workload.over, self) {
            (Over::Tcp, _) | (_, Self::Bare | Self::Steeple) => true,
            (Over::Zstd, Self::Tonic) => matches!(workload.shape, Shape::Bytes(_)),
            _ => false,
        };
        if !goes_over {
            return false;
        }
        match (workload.shape, self) {
            (Shape::Typed(_), Self::Raw | Self::Std) => false,
            (Shape::Typed(format), Self::Bare | Self::Steeple) => format.codec().is_some(),
            (Shape::Typed(format), Self::Tarpc) => format == Format::Bincode,
            (Shape::Typed(format), Self::Tonic) => format == Format::Prost,
            (Shape::Bytes(_), Self::Std) => false,
            _ => true,
        }
    }
}

/// A way to call, on tokio.
pub(crate) trait Peer: 'static {
    /// What a caller holds. Its clones share one connection.
    type Caller: Caller;

    /// Accepts, and answers with `handler`, until the process ends.
    fn serve(
        listener: TcpListener,
        handler: Handler,
        over: Over,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Opens one connection.
    fn connect(
        addr: SocketAddr,
        over: Over,
    ) -> impl Future<Output = Result<Self::Caller, Error>> + Send;
}

/// One caller on a connection.
pub(crate) trait Caller: Clone + Send + 'static {
    /// The body of an answer.
    type Reply: AsRef<[u8]> + Send;

    /// Sends `payload` and waits for the answer.
    fn call(&mut self, payload: &Bytes) -> impl Future<Output = Result<Self::Reply, Error>> + Send;

    /// Sends `payload` and waits for an answer that has the length of an echo.
    fn echo(&mut self, payload: &Bytes) -> impl Future<Output = Result<(), Error>> + Send {
        async {
            let reply = self.call(payload).await?;
            if reply.as_ref().len() == payload.len() {
                Ok(())
            } else {
                Err("not an echo".into())
            }
        }
    }

    /// Sends a message that has no answer. False if there is no room for it now.
    fn notify(&mut self, _payload: &Bytes) -> impl Future<Output = Result<bool, Error>> + Send {
        std::future::ready(Err("this peer has no messages without an answer".into()))
    }

    /// Sends an order in `format` and waits until it comes back.
    fn exchange(
        &mut self,
        _order: Order,
        _format: Format,
    ) -> impl Future<Output = Result<Order, Error>> + Send {
        std::future::ready(Err("this peer has no codec".into()))
    }

    /// Makes `count` calls at once and waits for all answers.
    fn batch(
        &mut self,
        payload: &Bytes,
        count: usize,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let calls = (0..count).map(|_| {
            let mut caller = self.clone();
            async move { caller.echo(payload).await }
        });
        calls.collect::<FuturesUnordered<_>>().try_collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Choice;

    #[test]
    fn a_variant_compares_the_peers_that_can() {
        for (name, expected) in [
            (
                "L.bincode",
                &[Subject::Bare, Subject::Steeple, Subject::Tarpc][..],
            ),
            ("L.json", &[Subject::Bare, Subject::Steeple]),
            ("L.prost", &[Subject::Tonic]),
            ("B.tls", &[Subject::Bare, Subject::Steeple]),
            (
                "R.json-zstd",
                &[Subject::Bare, Subject::Steeple, Subject::Tonic],
            ),
            ("B", Subject::value_variants()),
        ] {
            let Choice(workloads) = name.parse().unwrap();
            let takes_part = |peer: &&Subject| peer.takes_part(&workloads[0]);
            let peers: Vec<_> = Subject::value_variants()
                .iter()
                .filter(takes_part)
                .copied()
                .collect();
            assert_eq!(peers, expected, "{name}");
        }
    }
}
