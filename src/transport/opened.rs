//! A stream on its way to being a connection.

use std::{
    error::Error,
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use http::Extensions;

use super::{Address, Endpoint, Io};
use crate::BoxError;

/// A stream that is ready for its first frame, and what is known of its other side.
///
/// It is what goes through a [`Wrap`](super::Wrap), and what comes out of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened<I> {
    /// The stream.
    pub io: I,
    /// What the other side is called.
    pub address: Address,
    /// What was dialled; `None` on the side that accepted.
    pub endpoint: Option<Endpoint>,
    /// What each request of the connection finds in its [`connection`](crate::Request::connection): who the
    /// other side has shown itself to be, for example.
    pub extensions: Extensions,
}

/// What a dialler or a listener gives: a stream, or something that is to become one.
///
/// Every [`Io`] is open as it is. A [`Handshake`] has something to do first. It is done where it holds up nobody
/// else: on a client within [`dial_timeout`](crate::Connector::dial_timeout), on a server in the client's own task
/// and within [`handshake_timeout`](crate::Options::handshake_timeout).
pub trait Open: Send + 'static {
    /// The stream in the end.
    type Io: Io;

    /// Makes it ready for its first frame, given what the transport knows.
    ///
    /// # Errors
    /// Whatever says why not; with a [`Refused`], the other side is told.
    fn open(
        self,
        address: Address,
        endpoint: Option<Endpoint>,
    ) -> impl Future<Output = Result<Opened<Self::Io>, BoxError>> + Send;
}

/// What is to be done with a stream before its first frame. Dropping it drops the stream.
#[must_use = "a handshake does nothing until it is opened"]
pub struct Handshake<I>(Stage<I>);

enum Stage<I> {
    /// There is nothing to do.
    Over(I, Extensions),
    Ahead(Ahead<I>),
}

type Ahead<I> = Pin<Box<dyn Future<Output = Result<Opened<I>, BoxError>> + Send>>;

/// A refusal by a [`Wrap`](super::Wrap) that the other side is told, in the words of the wire: as the error of a
/// wrapper it carries the stream, which must be ready for a first frame from here.
pub struct Refused {
    text: String,
    // A stream need not be `Sync`, and an error has to be.
    io: Mutex<Box<dyn Io>>,
}

impl<I> Opened<I> {
    /// A stream of which the transport knows this.
    pub fn new(io: I, address: Address, endpoint: Option<Endpoint>) -> Self {
        Self {
            io,
            address,
            endpoint,
            extensions: Extensions::new(),
        }
    }

    /// Another stream in the place of this one, of which the same is known.
    pub fn map<J>(self, wrap: impl FnOnce(I) -> J) -> Opened<J> {
        Opened {
            io: wrap(self.io),
            address: self.address,
            endpoint: self.endpoint,
            extensions: self.extensions,
        }
    }
}

impl<I: Io> Handshake<I> {
    /// One that runs as `future`.
    pub fn new(future: impl Future<Output = Result<Opened<I>, BoxError>> + Send + 'static) -> Self {
        Self(Stage::Ahead(Box::pin(future)))
    }

    /// One in which nothing is to be done.
    pub fn over(io: I) -> Self {
        Self::known(io, Extensions::new())
    }

    /// One in which nothing is to be done, since what is known of the other side is known from the beginning.
    pub fn known(io: I, extensions: Extensions) -> Self {
        Self(Stage::Over(io, extensions))
    }
}

impl<I: Io> Open for I {
    type Io = I;

    fn open(
        self,
        address: Address,
        endpoint: Option<Endpoint>,
    ) -> impl Future<Output = Result<Opened<I>, BoxError>> + Send {
        ready(Ok(Opened::new(self, address, endpoint)))
    }
}

impl<I: Io> Open for Handshake<I> {
    type Io = I;

    async fn open(
        self,
        address: Address,
        endpoint: Option<Endpoint>,
    ) -> Result<Opened<I>, BoxError> {
        match self.0 {
            Stage::Over(io, extensions) => Ok(Opened {
                io,
                address,
                endpoint,
                extensions,
            }),
            Stage::Ahead(future) => future.await,
        }
    }
}

impl Refused {
    /// Refuses whoever is at the other side of this stream, for a reason in words.
    pub fn new(io: impl Io, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            io: Mutex::new(Box::new(io)),
        }
    }

    /// The stream, to tell the other side.
    pub(crate) fn into_io(self) -> Box<dyn Io> {
        self.io.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Refused {}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

impl<I> fmt::Debug for Handshake<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = matches!(self.0, Stage::Over(..));
        f.debug_struct("Handshake")
            .field("over", &over)
            .finish_non_exhaustive()
    }
}
