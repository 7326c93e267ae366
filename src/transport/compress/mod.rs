//! Connections compressed as a whole.
//!
//! All that one side writes is one compressed stream, so that a message costs little which resembles those before it:
//! what one call says, the next need not repeat. It is flushed where the connection flushes, once for each batch of
//! messages, so nothing waits for more to come.
//!
//! What is said before the first frame is specified with the [native wire](crate::wire::native#around-it).
//!
//! # Bounds
//!
//! A decompressor holds a window of at most 32 KiB. What it makes of its input is read in pieces like any other stream, so a
//! little input never becomes a lot of memory; and input that grows to more than 2048 times itself by zstd, or
//! 512 times by DEFLATE, beyond the first megabyte, ends the connection. A compressor here flushes often enough to stay far below that.
//!
//! A compressor that has nothing to send for a while rests, and its tables are given back. That of zstd ends its frame, so
//! that the other side gives back its own; the next message begins another. That of DEFLATE keeps the last 8 KiB to make
//! its tables anew, and goes on as if nothing had been.

mod codec;
#[cfg(feature = "deflate")]
mod deflate;
mod preamble;
mod stream;
#[cfg(feature = "zstd")]
mod zstd;

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tower_service::Service;

use self::preamble::{Answer, Offer};
pub use self::{codec::Algorithm, stream::Compressed};
use super::{Io, Opened, failed::failed};
use crate::events;

/// Compresses whole connections: a [`Wrap`](super::Wrap) for either side, on which the two sides agree when a
/// connection begins. Needs the feature `zstd` or `deflate`.
///
/// ```
/// use steeple::{Connector, Server, transport::Compression};
///
/// # async fn example() -> Result<(), steeple::Error> {
/// // This server takes clients that compress, and clients that do not ...
/// let server = Server::bind("tcp://127.0.0.1:0").await?.wrap(Compression::new());
/// // ... and this client does.
/// let connector = Connector::new().wrap(Compression::new());
/// # Ok(())
/// # }
/// ```
///
/// The server adapts to the client, and whatever either side does, they understand each other:
///
/// | server \\ client | without it, or [off](Self::off) | with it |
/// |---|---|---|
/// | without it, or [off](Self::off) | plain | plain |
/// | with it | plain | compressed, by what the client takes |
///
/// A server without it has to speak the native wire; of another, a client with it is told that it does not do
/// compression. Each direction is chosen by itself. The bytes by which they agree are in the specification of the
/// [native wire](crate::wire::native#around-it), their numbers in [`offer`](crate::wire::numbers::offer).
///
/// What either side takes is bounded: a decompressor has a window of 32 KiB at most, what comes out is read in pieces, and
/// input that grows to more than 2048 times its size by zstd, or 512 times by DEFLATE, ends its connection with an error
/// that says so, on both sides.
///
/// It costs one round trip when a connection begins, and memory on each side while there is traffic: some 300 KiB, of
/// which it gives most back when nothing was sent for a while. DEFLATE does so within half a second, keeps what it needs to
/// go on as if nothing had been, and the decompressor. zstd does within four seconds, and keeps nothing: it forgets what came
/// before, so that the next message costs what the first has. What a server then has in memory for each is measured in
/// [`transport`](super). The allocator may keep some of it for the next connections, glibc's most of all; with
/// `MALLOC_MMAP_THRESHOLD_=65536` in the environment it does not.
///
/// **Secrets.** Who can see how long messages are, and put text of their own beside a secret on the same connection,
/// can guess the secret from how well the two compress together (CRIME). Where that may be, leave it off.
#[derive(Clone, Debug)]
pub struct Compression {
    sends: Option<Algorithm>,
    takes: &'static [Algorithm],
}

impl Compression {
    /// Compresses by zstd, or by DEFLATE without the feature `zstd`, and takes what either makes.
    pub fn new() -> Self {
        Self {
            sends: Algorithm::ALL.first().copied(),
            takes: Algorithm::ALL,
        }
    }

    /// Compresses nothing. On a client it does nothing at all; a server still understands clients that would
    /// compress.
    pub fn off() -> Self {
        Self {
            sends: None,
            takes: &[],
        }
    }

    /// What this side compresses by, if the other can take it; a server compresses by another that both have, if
    /// not. With `None` it compresses nothing, though it takes what the other does.
    #[must_use]
    pub fn sends(mut self, algorithm: impl Into<Option<Algorithm>>) -> Self {
        self.sends = algorithm.into();
        self
    }

    fn offer(&self) -> Offer {
        Offer {
            sends: self.sends,
            takes: self.takes.iter().map(|it| it.bit()).sum(),
        }
    }

    /// What a server makes of a client's offer.
    fn answer(&self, offer: &Offer) -> Answer {
        let ours = self.sends.into_iter().chain(Algorithm::ALL.iter().copied());
        let common = ours.into_iter().find(|it| offer.takes & it.bit() != 0);
        Answer {
            to_server: offer.sends.filter(|it| self.takes.contains(it)),
            to_client: common.filter(|_| self.sends.is_some()),
        }
    }

    async fn wrap<I: Io>(self, opened: Opened<I>) -> io::Result<Opened<Compressed<I>>> {
        let Opened {
            mut io,
            address,
            endpoint,
            extensions,
        } = opened;
        let offer = self.offer();
        let io = if endpoint.is_none() {
            match preamble::accept(&mut io).await? {
                Ok(offer) => {
                    let answer = self.answer(&offer);
                    preamble::reply(&mut io, &answer).await?;
                    Compressed::new(io, answer.to_client, answer.to_server)
                }
                // A client that begins with its wire.
                Err(begun) => Compressed::plain(io, begun),
            }
        } else if offer.is_nothing() {
            Compressed::plain(io, Vec::new())
        } else {
            let answer = preamble::ask(&mut io, &offer)
                .await
                .map_err(|error| failed(format!("{address} does not do compression"), error))?;
            match answer {
                Ok(answer) => Compressed::new(io, answer.to_server, answer.to_client),
                Err(begun) => {
                    tracing::debug!(target: events::TRANSPORT, %address, "the server does not do compression: the connection is plain");
                    Compressed::plain(io, begun)
                }
            }
        };
        Ok(Opened {
            io,
            address,
            endpoint,
            extensions,
        })
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Io> Service<Opened<I>> for Compression {
    type Response = Opened<Compressed<I>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Opened<Compressed<I>>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, opened: Opened<I>) -> Self::Future {
        Box::pin(self.clone().wrap(opened))
    }
}
