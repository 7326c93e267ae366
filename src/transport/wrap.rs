//! What is put around streams before their first frame.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{Address, Dial, Dialing, Endpoint, Handshake, Io, Listener, Open, Opened};
use crate::BoxError;

/// Something that is put around each stream before its first frame: it may authenticate, encrypt, compress or
/// count, and it may refuse.
///
/// It is a tower `Service` from [`Opened`] to [`Opened`], which each stream has a clone of; so tower's layers are
/// for it too: a limit of the handshakes at a time, for example. Implemented for every such service; nothing else
/// can implement it. An error ends the stream; with [`Refused`](super::Refused) the other side is told why.
///
/// ```
/// use std::io;
///
/// use steeple::{
///     BoxError, Connector, Server,
///     transport::{Io, Opened, Refused, Wrap},
/// };
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// /// Only who says the word first may go on.
/// fn guard<I: Io>() -> impl Wrap<I, Io = I> {
///     tower::service_fn(async |mut stream: Opened<I>| {
///         let mut word = [0; 6];
///         stream.io.read_exact(&mut word).await?;
///         match &word {
///             b"sesame" => Ok::<_, BoxError>(stream),
///             _ => Err(Refused::new(stream.io, "this is not the word").into()),
///         }
///     })
/// }
///
/// fn say_it<I: Io>() -> impl Wrap<I, Io = I> {
///     tower::service_fn(async |mut stream: Opened<I>| {
///         stream.io.write_all(b"sesame").await?;
///         Ok::<_, io::Error>(stream)
///     })
/// }
///
/// # async fn example() -> Result<(), steeple::Error> {
/// let server = Server::bind("tcp://127.0.0.1:0").await?.wrap(guard());
/// let connector = Connector::new().wrap(say_it());
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put around streams of `{I}`",
    note = "a wrapper is a `tower::Service<Opened<{I}>>` whose response is `Opened<_>` of another stream",
    note = "its error is `Into<BoxError>`; it is `Clone + Send + 'static`, and its future `Send + 'static`"
)]
pub trait Wrap<I>:
    Service<
        Opened<I>,
        Response = Opened<<Self as Wrap<I>>::Io>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The stream that comes out.
    type Io: Io;
}

impl<W, I, J> Wrap<I> for W
where
    W: Service<Opened<I>, Response = Opened<J>> + Clone + Send + 'static,
    W::Error: Into<BoxError>,
    W::Future: Send + 'static,
    J: Io,
{
    type Io = J;
}

/// A dialler or a listener with a [`Wrap`] around each of its streams.
///
/// What [`Connector::wrap`](crate::Connector::wrap) and [`Server::wrap`](crate::Server::wrap) make. Several of them
/// nest; the first is next to the transport.
#[derive(Clone, Debug)]
pub struct Wrapped<T, W> {
    inner: T,
    wrap: W,
}

impl<T, W> Wrapped<T, W> {
    /// Puts `wrap` around the streams of a dialler or listener.
    pub fn new(inner: T, wrap: W) -> Self {
        Self { inner, wrap }
    }
}

impl<L, W> Listener for Wrapped<L, W>
where
    L: Listener,
    W: Wrap<<L::Io as Open>::Io>,
{
    type Io = Handshake<W::Io>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Address)> {
        let (io, address) = self.inner.accept().await?;
        let handshake = handshake(io, address.clone(), None, self.wrap.clone());
        Ok((handshake, address))
    }

    fn local_address(&self) -> Address {
        self.inner.local_address()
    }
}

impl<D, W> Service<Endpoint> for Wrapped<D, W>
where
    D: Dial,
    W: Wrap<<D::Io as Open>::Io>,
{
    type Response = (Handshake<W::Io>, Address);
    type Error = BoxError;
    type Future = Dialing<Handshake<W::Io>, BoxError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, endpoint: Endpoint) -> Self::Future {
        let dial = self.inner.call(endpoint.clone());
        let wrap = self.wrap.clone();
        Dialing::new(async move {
            let (io, address) = dial.await.map_err(Into::into)?;
            let handshake = handshake(io, address.clone(), Some(endpoint), wrap);
            Ok((handshake, address))
        })
    }
}

fn handshake<O, W>(
    stream: O,
    address: Address,
    endpoint: Option<Endpoint>,
    mut wrap: W,
) -> Handshake<W::Io>
where
    O: Open,
    W: Wrap<O::Io>,
{
    Handshake::new(async move {
        let opened = stream.open(address, endpoint).await?;
        poll_fn(|cx| wrap.poll_ready(cx))
            .await
            .map_err(Into::into)?;
        wrap.call(opened).await.map_err(Into::into)
    })
}
