//! A function that lets a request in, or not.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use steeple_layers::explain::{Explain, Explanation};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Body, Error, Execution, Request};

/// Puts each request to a function, which lets it in or says why not.
///
/// The function may change the request: as a rule it leaves there who calls. Its error, as a rule of
/// [`Kind::Unauthenticated`](crate::Kind::Unauthenticated) or
/// [`Kind::PermissionDenied`](crate::Kind::PermissionDenied), is what the caller gets, not started.
#[derive(Clone)]
pub struct AuthLayer<F> {
    check: F,
}

impl<F> AuthLayer<F>
where
    F: Fn(&mut Request<Body>) -> Result<(), Error> + Clone,
{
    /// Lets in what `check` lets in.
    pub fn new(check: F) -> Self {
        Self { check }
    }
}

impl<S, F: Clone> Layer<S> for AuthLayer<F> {
    type Service = Auth<S, F>;

    fn layer(&self, inner: S) -> Auth<S, F> {
        Auth {
            inner,
            check: self.check.clone(),
        }
    }
}

/// See [`AuthLayer`].
#[derive(Clone)]
pub struct Auth<S, F> {
    inner: S,
    check: F,
}

impl<S, F> Service<Request<Body>> for Auth<S, F>
where
    S: Service<Request<Body>> + Clone,
    S::Error: From<Error>,
    F: Fn(&mut Request<Body>) -> Result<(), Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AuthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> AuthFuture<S::Future> {
        let state = match (self.check)(&mut request) {
            Ok(()) => State::Called {
                inner: self.inner.call(request),
            },
            Err(error) => {
                // What it holds for being ready might be what another caller waits for.
                self.inner = self.inner.clone();
                State::Refused {
                    error: Some(refusal(error)),
                }
            }
        };
        AuthFuture { state }
    }
}

impl<S: Explain, F> Explain for Auth<S, F> {
    fn explain(&self, out: &mut Explanation) {
        out.part("Auth");
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of an [`Auth`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F> {
        /// It was let in.
        Called {
            #[pin]
            inner: F,
        },
        /// It was not. The error is taken with the result.
        Refused { error: Option<Error> },
    }
}

impl<F, T, E> Future for AuthFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { inner } => inner.poll(cx),
            StateProjection::Refused { error } => {
                let error = error.take().expect("`AuthFuture` polled after completion");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

/// No handler has seen the request, whatever the function says.
pub(super) fn refusal(error: Error) -> Error {
    error.with_execution(Execution::NotStarted)
}

impl<F> fmt::Debug for AuthLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Auth<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
