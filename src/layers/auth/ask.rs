//! The same, by a function that has to ask somebody.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use steeple_layers::explain::{Explain, Explanation};
use tower_layer::Layer;
use tower_service::Service;

use super::check::refusal;
use crate::{Body, Error, Request};

/// As [`AuthLayer`](super::AuthLayer), by an `async` function: it is given the request and gives it back, or an
/// error.
///
/// While it asks, the service inside waits and is ready; a caller that gives up ends that.
///
/// ```
/// use steeple::{Error, Kind, Request, layers::AsyncAuthLayer};
///
/// # #[derive(Clone)] struct Directory;
/// # impl Directory { async fn knows(&self, _: &str) -> Result<bool, Error> { Ok(true) } }
/// # let directory = Directory;
/// let layer = AsyncAuthLayer::new(move |request: Request| {
///     let directory = directory.clone();
///     async move {
///         let name = request.metadata().get_str("user").unwrap_or_default();
///         match directory.knows(name).await? {
///             true => Ok(request),
///             false => Err(Error::new(Kind::Unauthenticated, "nobody knows you")),
///         }
///     }
/// });
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct AsyncAuthLayer<F> {
    check: F,
}

impl<F, Fut> AsyncAuthLayer<F>
where
    F: Fn(Request<Body>) -> Fut + Clone,
    Fut: Future<Output = Result<Request<Body>, Error>>,
{
    /// Lets in what `check` gives back.
    pub fn new(check: F) -> Self {
        Self { check }
    }
}

impl<S, F: Clone> Layer<S> for AsyncAuthLayer<F> {
    type Service = AsyncAuth<S, F>;

    fn layer(&self, inner: S) -> AsyncAuth<S, F> {
        AsyncAuth {
            inner,
            check: self.check.clone(),
        }
    }
}

/// See [`AsyncAuthLayer`].
#[derive(Clone)]
pub struct AsyncAuth<S, F> {
    inner: S,
    check: F,
}

impl<S, F, Fut> Service<Request<Body>> for AsyncAuth<S, F>
where
    S: Service<Request<Body>> + Clone,
    S::Error: From<Error>,
    F: Fn(Request<Body>) -> Fut,
    Fut: Future<Output = Result<Request<Body>, Error>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AskFuture<S, Fut>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> AskFuture<S, Fut> {
        // The one that is ready goes along; a clone of it is not.
        let clone = self.inner.clone();
        AskFuture {
            state: State::Asking {
                service: mem::replace(&mut self.inner, clone),
                verdict: (self.check)(request),
            },
        }
    }
}

impl<S: Explain, F> Explain for AsyncAuth<S, F> {
    fn explain(&self, out: &mut Explanation) {
        out.part("AsyncAuth");
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of an [`AsyncAuth`].
    #[must_use = "futures do nothing unless polled"]
    pub struct AskFuture<S, Fut>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S, S::Future, Fut>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, Fut> {
        /// The function has the request.
        Asking {
            service: S,
            #[pin]
            verdict: Fut,
        },
        /// It was let in.
        Called {
            #[pin]
            inner: F,
        },
        /// The result was taken.
        Done,
    }
}

impl<S, Fut> Future for AskFuture<S, Fut>
where
    S: Service<Request<Body>>,
    S::Error: From<Error>,
    Fut: Future<Output = Result<Request<Body>, Error>>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let result = match state.as_mut().project() {
                StateProjection::Asking { service, verdict } => match ready!(verdict.poll(cx)) {
                    Ok(request) => {
                        let inner = service.call(request);
                        state.set(State::Called { inner });
                        continue;
                    }
                    Err(error) => Err(refusal(error).into()),
                },
                StateProjection::Called { inner } => ready!(inner.poll(cx)),
                StateProjection::Done => panic!("`AskFuture` polled after completion"),
            };
            state.set(State::Done);
            return Poll::Ready(result);
        }
    }
}

impl<F> fmt::Debug for AsyncAuthLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncAuthLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, F> fmt::Debug for AsyncAuth<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncAuth")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S: Service<Request<Body>>, Fut> fmt::Debug for AskFuture<S, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskFuture").finish_non_exhaustive()
    }
}
