//! A call that is told of when it ends.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::{Level, level_filters::LevelFilter};

use super::{Describe, levels::Levels};
use crate::{AsError, Carry, Error, Kind, Method, called, moment::Moment};

pin_project! {
    /// The answer of a [`Log`](super::Log).
    #[must_use = "futures do nothing unless polled"]
    pub struct LogFuture<S, R, D>
    where
        S: Service<R>,
        D: Describe<R, S::Response>,
    {
        #[pin]
        inner: S::Future,
        entry: Untold<D, D::Peer>,
    }
}

/// The line of a call that has not ended; nothing if nobody would hear it. One that is let go of tells that its call was
/// dropped, as also a call is that panics before there is a future.
///
/// Boxed: futures are moved through every layer above.
pub(super) struct Untold<D, P: fmt::Display>(Option<Box<Entry<D, P>>>);

/// What is known of a call when it begins.
pub(super) struct Entry<D, P> {
    levels: Levels,
    describe: D,
    method: Method,
    attempt: u32,
    began: Moment,
    peer: Option<P>,
    /// The replica that the call came to last, as far as it was polled.
    replica: Option<Arc<str>>,
    request_bytes: Option<usize>,
}

impl<S, R, D> LogFuture<S, R, D>
where
    S: Service<R>,
    D: Describe<R, S::Response>,
{
    pub(super) fn new(inner: S::Future, entry: Untold<D, D::Peer>) -> Self {
        Self { inner, entry }
    }
}

impl<S, R, D> Future for LogFuture<S, R, D>
where
    S: Service<R>,
    S::Error: AsError,
    D: Describe<R, S::Response>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(entry) = &mut this.entry.0 else {
            return this.inner.poll(cx);
        };
        let (polled, replica) = called::listen(|| this.inner.poll(cx));
        entry.replica = replica.or(entry.replica.take());
        let result = ready!(polled);
        if let Some(entry) = this.entry.0.take() {
            match &result {
                Ok(response) => entry.tell_success(|describe| describe.response_bytes(response)),
                Err(error) => entry.tell_failure(error),
            }
        }
        Poll::Ready(result)
    }
}

impl<D, P: fmt::Display> Untold<D, P> {
    #[inline]
    pub(super) fn new(entry: Option<Entry<D, P>>) -> Self {
        Self(entry.map(Box::new))
    }
}

impl<D, P: fmt::Display> Drop for Untold<D, P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(entry) = &self.0 {
            entry.tell_dropped();
        }
    }
}

impl<D, P: fmt::Display> Entry<D, P> {
    pub(super) fn new<R, T>(request: &mut R, levels: Levels, describe: &D) -> Self
    where
        R: Carry,
        D: Describe<R, T, Peer = P> + Clone,
    {
        let peer = describe.peer(request);
        let request_bytes = describe.request_bytes(request);
        let cx = request.cx_mut();
        let began = match cx.attempt() {
            0 => cx.start_moment(),
            _ => Moment::now(),
        };
        Self {
            levels,
            describe: describe.clone(),
            method: cx.method().clone(),
            attempt: cx.attempt(),
            began,
            peer,
            replica: None,
            request_bytes,
        }
    }

    fn tell_success(&self, response_bytes: impl FnOnce(&D) -> Option<usize>) {
        if let Some(level) = self.levels.success().filter(is_wanted) {
            self.tell(level, &"ok", response_bytes(&self.describe), None);
        }
    }

    /// An error in which no [`Error`] is found counts as a defect.
    fn tell_failure(&self, error: &impl AsError) {
        let error = error.as_error();
        let kind = error.map_or(Kind::Internal, Error::kind);
        if let Some(level) = self.levels.failure(kind) {
            self.tell(level, &kind, None, error);
        }
    }

    fn tell_dropped(&self) {
        if let Some(level) = self.levels.failure(Kind::Cancelled) {
            self.tell(level, &"dropped", None, None);
        }
    }

    /// An event at a level that is known only now; `tracing` wants a place in the program for each.
    fn tell(
        &self,
        level: Level,
        outcome: &dyn fmt::Display,
        response_bytes: Option<usize>,
        error: Option<&Error>,
    ) {
        let peer = self.peer.as_ref().map(|peer| peer as &dyn fmt::Display);
        let peer = peer.or(self.replica.as_ref().map(|replica| replica as _));
        macro_rules! at {
            ($level:ident) => {
                tracing::event!(
                    target: "steeple::call",
                    Level::$level,
                    method = %self.method,
                    attempt = self.attempt,
                    peer = peer.map(display),
                    outcome = %outcome,
                    elapsed = ?Moment::now().since(self.began),
                    request_bytes = self.request_bytes,
                    response_bytes,
                    execution = error.map(|error| debug(error.execution())),
                    error = error.map(display),
                )
            };
        }
        match level {
            Level::ERROR => at!(ERROR),
            Level::WARN => at!(WARN),
            Level::INFO => at!(INFO),
            Level::DEBUG => at!(DEBUG),
            Level::TRACE => at!(TRACE),
        }
    }
}

/// What nobody would hear, as most often a success, costs no more than this look.
fn is_wanted(level: &Level) -> bool {
    *level <= LevelFilter::current()
}

impl<S, R, D> fmt::Debug for LogFuture<S, R, D>
where
    S: Service<R>,
    D: Describe<R, S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.entry.0.as_ref().map(|entry| &entry.method);
        f.debug_struct("LogFuture")
            .field("method", &method)
            .finish_non_exhaustive()
    }
}
