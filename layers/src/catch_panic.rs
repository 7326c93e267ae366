//! A panic fails its call and nothing else.
//!
//! [`CatchPanicLayer`] goes around the service of a server. A handler that panics, when it is called or when
//! its future is polled, answers with [`Kind::Internal`], and the panic is logged with the method. The
//! server's connection catches panics too, whether or not this layer is there; what the layer adds is the log,
//! and the say in what the caller is told.
//!
//! The text of a panic stays here, since it can hold what a stranger should not see. To send it, or part of it:
//!
//! ```
//! use steeple_layers::CatchPanicLayer;
//!
//! let layer = CatchPanicLayer::new().message(|panic| format!("the handler panicked: {panic}"));
//! # let _ = layer;
//! ```

use std::{
    any::Any,
    borrow::Cow,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    AsError, Carry, Error, Execution, Kind, Method,
    explain::{Explain, Explanation},
};

/// Turns a panic into an error of its call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanicLayer {
    message: Option<Message>,
}

/// What the caller is told, from the text of the panic.
type Message = fn(&str) -> String;

impl CatchPanicLayer {
    /// Tells the caller that the handler panicked, and no more.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the caller what `message` makes of the text of the panic, which is empty if the panic has none.
    #[must_use]
    pub fn message(mut self, message: fn(&str) -> String) -> Self {
        self.message = Some(message);
        self
    }
}

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic {
            inner,
            message: self.message,
        }
    }
}

/// See [`CatchPanicLayer`].
#[derive(Clone, Debug)]
pub struct CatchPanic<S> {
    inner: S,
    message: Option<Message>,
}

impl<S, R> Service<R> for CatchPanic<S>
where
    R: Carry,
    S: Service<R>,
    S::Error: From<Error> + AsError,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CatchPanicFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> CatchPanicFuture<S::Future> {
        let report = Report {
            method: request.cx().method().clone(),
            message: self.message,
        };
        let state = match catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) {
            Ok(inner) => State::Called { inner, report },
            Err(panic) => State::Panicked {
                error: Some(report.error(&*panic)),
            },
        };
        CatchPanicFuture { state }
    }
}

impl<S: Explain> Explain for CatchPanic<S> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("CatchPanic");
        if self.message.is_some() {
            part.setting("callers are told of the panic");
        }
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of a [`CatchPanic`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct CatchPanicFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F> {
        /// The call was made.
        Called {
            #[pin]
            inner: F,
            report: Report,
        },
        /// It panicked when it was made. The error is taken with the result.
        Panicked { error: Option<Error> },
    }
}

impl<F, T, E> Future for CatchPanicFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let error = match state.as_mut().project() {
            StateProjection::Called { inner, report } => {
                match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
                    Ok(poll) => return poll,
                    Err(panic) => report.error(&*panic),
                }
            }
            StateProjection::Panicked { error } => error
                .take()
                .expect("`CatchPanicFuture` polled after completion"),
        };
        // What a future that panicked still holds goes now; its drop may panic once more.
        let over = AssertUnwindSafe(|| state.set(State::Panicked { error: None }));
        if catch_unwind(over).is_err() {
            tracing::error!(target: "steeple::handler", "a handler that had panicked panicked again when it was dropped");
        }
        Poll::Ready(Err(error.into()))
    }
}

/// What there is to say about a panic.
#[derive(Debug)]
struct Report {
    method: Method,
    message: Option<Message>,
}

impl Report {
    /// Logs the panic and makes it an error.
    fn error(&self, panic: &(dyn Any + Send)) -> Error {
        let text = text(panic);
        tracing::error!(target: "steeple::handler", method = %self.method, panic = text, "a handler panicked");
        let message = match self.message {
            Some(message) => Cow::Owned(message(text)),
            None => Cow::Borrowed("the handler panicked"),
        };
        Error::new(Kind::Internal, message).with_execution(Execution::MaybeExecuted)
    }
}

/// The text that a panic was raised with.
fn text(panic: &(dyn Any + Send)) -> &str {
    let fixed = panic.downcast_ref::<&'static str>().copied();
    fixed
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or_default()
}
