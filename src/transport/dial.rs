//! What a dialler is.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{Address, Endpoint, Open};
use crate::BoxError;

/// Something that dials: a `Service` of [`Endpoint`] that answers with a stream and the [`Address`] it leads to.
///
/// Implemented for every such service; nothing else can implement it. Because a dialler is a service, what
/// is to happen around each dial is a tower `Layer`: a limit, a delay, a log line, a wrapped stream. It is
/// told no timeout; the connector above it has one.
///
/// ```
/// use steeple::transport::{Address, Dial, Endpoint};
/// use tokio::net::TcpStream;
///
/// fn through_a_proxy() -> impl Dial<Io = TcpStream> {
///     tower::service_fn(|endpoint: Endpoint| async move {
///         let stream = TcpStream::connect("proxy:1080").await?;
///         // … asks the proxy for endpoint.host() …
///         std::io::Result::Ok((stream, Address::Other(endpoint.as_str().into())))
///     })
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a dialler",
    note = "a dialler is a `tower::Service<Endpoint>` whose response is `(stream, Address)`",
    note = "the stream is `Open`, as every `Io` is, the error `Into<BoxError>`, service and future are `Send + 'static`"
)]
pub trait Dial:
    Service<
        Endpoint,
        Response = (<Self as Dial>::Io, Address),
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Send
    + 'static
{
    /// The stream that a dial gives, or what becomes one.
    type Io: Open;
}

impl<D, I> Dial for D
where
    D: Service<Endpoint, Response = (I, Address)> + Send + 'static,
    D::Error: Into<BoxError>,
    D::Future: Send + 'static,
    I: Open,
{
    type Io = I;
}

/// A dial under way: a boxed future, for diallers that want a type with a name. Dropping it ends the dial.
#[must_use = "a dial does nothing unless it is polled"]
pub struct Dialing<I, E = io::Error>(Pin<Box<dyn Future<Output = Dialed<I, E>> + Send>>);

type Dialed<I, E> = Result<(I, Address), E>;

impl<I, E> Dialing<I, E> {
    /// A dial that runs as `future`.
    pub fn new(future: impl Future<Output = Dialed<I, E>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl<I, E> Future for Dialing<I, E> {
    type Output = Dialed<I, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<I, E> fmt::Debug for Dialing<I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialing").finish_non_exhaustive()
    }
}
