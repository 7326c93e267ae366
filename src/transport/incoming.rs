//! A stream of streams as a listener.

use std::{fmt, future::poll_fn, io, pin::Pin};

use futures_core::Stream;

use super::{Address, Io, Listener};

/// Listens to a [`Stream`] of connections: those that another part of the process accepts, filters or wraps. When
/// it has ended, so has the listener, and nothing else is its end: an item that is an error is a failed accept, whatever
/// its kind.
///
/// ```
/// use futures_util::stream;
/// use steeple::{
///     Server, Stopped,
///     conn::Unserved,
///     transport::{Address, Incoming},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (_client, stream) = tokio::io::duplex(1024);
/// # drop(_client);
/// let streams = stream::iter([Ok((stream, Address::Other("client".into())))]);
/// let server = Server::new(Incoming::new(streams, Address::Other("here".into())));
/// assert_eq!(server.serve(Unserved).await, Stopped::Ended);
/// # }
/// ```
pub struct Incoming<S> {
    streams: Pin<Box<S>>,
    address: Address,
}

impl<S, I> Incoming<S>
where
    S: Stream<Item = io::Result<(I, Address)>> + Send + 'static,
    I: Io,
{
    /// A listener that is said to be at `address`.
    pub fn new(streams: S, address: Address) -> Self {
        Self {
            streams: Box::pin(streams),
            address,
        }
    }
}

impl<S, I> Listener for Incoming<S>
where
    S: Stream<Item = io::Result<(I, Address)>> + Send + 'static,
    I: Io,
{
    type Io = I;

    async fn accept(&mut self) -> io::Result<(I, Address)> {
        let next = poll_fn(|cx| self.streams.as_mut().poll_next(cx)).await;
        match next {
            None => Err(io::ErrorKind::UnexpectedEof.into()),
            // Of a connection that broke off early; from a listener it would mean its own end.
            Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(io::Error::other(error))
            }
            Some(accepted) => accepted,
        }
    }

    fn local_address(&self) -> Address {
        self.address.clone()
    }
}

impl<S> fmt::Debug for Incoming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
