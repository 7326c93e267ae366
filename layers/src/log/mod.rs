//! One line for every call, when it ends.
//!
//! [`LogLayer`] writes events of [`tracing`] with the target `steeple::call`:
//!
//! | field | is |
//! |---|---|
//! | `method`, `attempt` | as in the [`Context`](crate::Context) |
//! | `outcome` | `ok`, the [kind](Kind) of the failure, or `dropped` if nobody waited for the end |
//! | `elapsed` | since the call began; for a later attempt, since it came to this layer |
//! | `error`, `execution` | of a failure |
//! | `peer` | on a server who called, if [`Describe`] knows; on a client the [replica](crate::replicas) of the last attempt |
//! | `request_bytes`, `response_bytes` | what [`Describe`] knows |
//!
//! Outside of a layer that retries it tells of calls, inside of attempts. A success is told at *debug*, like
//! the failures that are none of the link or of the server: what the application answered, and what its caller
//! gave up. A defect is an *error*, anything else a *warning*. [`LogLayer::success`] and [`LogLayer::failure`]
//! change that.
//!
//! While no subscriber wants any of these levels the layer does nothing. While one does, a call costs an allocation, for
//! what is told of it later; while only failures are wanted, a success costs no clock read: the beginning is one that
//! all layers share.

mod future;
mod levels;

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;
use tracing::level_filters::LevelFilter;

pub use self::future::LogFuture;
use self::{
    future::{Entry, Untold},
    levels::Levels,
};
use crate::{
    AsError, Carry, Error, Kind,
    explain::{Explain, Explanation},
};

/// Writes a line for every call.
#[derive(Clone, Debug, Default)]
pub struct LogLayer<D = ()> {
    levels: Levels,
    describe: D,
}

/// What a log may say of requests and responses beyond their context.
///
/// `()` says nothing. All methods may be left out.
pub trait Describe<Req, Res> {
    /// How the other end is written; [`Infallible`] if it is not.
    type Peer: fmt::Display;

    /// The other end of a call, where the request tells: on a server, who called.
    fn peer(&self, request: &Req) -> Option<Self::Peer> {
        let _unknown = request;
        None
    }

    /// The bytes of a request.
    fn request_bytes(&self, request: &Req) -> Option<usize> {
        let _unknown = request;
        None
    }

    /// The bytes of a response.
    fn response_bytes(&self, response: &Res) -> Option<usize> {
        let _unknown = response;
        None
    }
}

impl<Req, Res> Describe<Req, Res> for () {
    type Peer = Infallible;
}

impl LogLayer {
    /// A log at the usual levels that says what the [`Context`](crate::Context) knows.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<D> LogLayer<D> {
    /// The same log that also says what `describe` knows.
    #[must_use]
    pub fn describe<E>(self, describe: E) -> LogLayer<E> {
        LogLayer {
            levels: self.levels,
            describe,
        }
    }

    /// The level of calls that succeed: a [`Level`](tracing::Level), or `LevelFilter::OFF` for none.
    #[must_use]
    pub fn success(mut self, level: impl Into<LevelFilter>) -> Self {
        self.levels.set_success(level.into());
        self
    }

    /// The level of calls that fail in one way: a [`Level`](tracing::Level), or `LevelFilter::OFF` for none. A
    /// call that is dropped counts as [`Kind::Cancelled`].
    #[must_use]
    pub fn failure(mut self, kind: Kind, level: impl Into<LevelFilter>) -> Self {
        self.levels.set_failure(kind, level.into());
        self
    }
}

impl<S, D: Clone> Layer<S> for LogLayer<D> {
    type Service = Log<S, D>;

    fn layer(&self, inner: S) -> Log<S, D> {
        Log {
            inner,
            levels: self.levels,
            describe: self.describe.clone(),
        }
    }
}

/// See [`LogLayer`].
#[derive(Clone, Debug)]
pub struct Log<S, D = ()> {
    inner: S,
    levels: Levels,
    describe: D,
}

impl<S, D, R> Service<R> for Log<S, D>
where
    R: Carry,
    S: Service<R>,
    S::Error: From<Error> + AsError,
    D: Describe<R, S::Response> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = LogFuture<S, R, D>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: R) -> Self::Future {
        let wanted = self.levels.are_wanted();
        let entry =
            wanted.then(|| Entry::new::<_, S::Response>(&mut request, self.levels, &self.describe));
        let entry = Untold::new(entry);
        LogFuture::new(self.inner.call(request), entry)
    }
}

impl<S: Explain, D> Explain for Log<S, D> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("Log");
        match self.levels.success() {
            Some(level) => part.setting(format_args!("successes at {level}")),
            None => part.setting("no successes"),
        };
        self.inner.explain(out);
    }
}
