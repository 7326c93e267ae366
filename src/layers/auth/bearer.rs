//! A token for each call.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use steeple_layers::explain::{Explain, Explanation};
use tokio::time::timeout_at;
use tower_layer::Layer;
use tower_service::Service;

use super::{AUTHORIZATION, Token, token::Source};
use crate::{AsError, Body, BoxError, Error, Kind, Request};

/// Adds a token to each call, which a function gets, in the metadata [`AUTHORIZATION`].
///
/// The first call gets one, and all use it until it [expires](Token::expires_in), or a server refuses it as
/// [`Kind::Unauthenticated`]: that call fails, and the next one gets a new token. While one is being got, calls wait,
/// all for the same one, until their deadlines. All clones, and all services the layer was put around, have it
/// together.
///
/// If none can be got, calls fail with [`Kind::Unauthenticated`], not sent, and the function's error is the source.
///
/// It goes inside of what retries, so that each attempt has the token of the day. A call that has to wait makes an
/// allocation; others take a lock and clone two pointers.
///
/// ```
/// use std::time::Duration;
/// use steeple::{Error, layers::{BearerLayer, auth::Token}};
///
/// # async fn ask_the_issuer() -> Result<String, Error> { Ok("sesame".into()) }
/// let layer = BearerLayer::new(|| async {
///     let token = ask_the_issuer().await?;
///     Ok::<_, Error>(Token::new(token).expires_in(Duration::from_secs(3600)))
/// });
/// # let _ = layer;
/// ```
pub struct BearerLayer<F> {
    source: Arc<Source<F>>,
}

impl<F, Fut, E> BearerLayer<F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Token, E>>,
    E: Into<BoxError>,
{
    /// Adds the tokens that `fetch` gets.
    pub fn new(fetch: F) -> Self {
        Self {
            source: Arc::new(Source::new(fetch)),
        }
    }
}

impl<S, F> Layer<S> for BearerLayer<F> {
    type Service = Bearer<S, F>;

    fn layer(&self, inner: S) -> Bearer<S, F> {
        Bearer {
            inner,
            source: self.source.clone(),
        }
    }
}

/// See [`BearerLayer`].
pub struct Bearer<S, F> {
    inner: S,
    source: Arc<Source<F>>,
}

impl<S, F, Fut, E> Service<Request<Body>> for Bearer<S, F>
where
    S: Service<Request<Body>> + Clone,
    S::Error: From<Error> + AsError,
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Token, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BearerFuture<S, F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> BearerFuture<S, F> {
        let source = self.source.clone();
        let state = match source.token() {
            Some(token) => State::Called {
                inner: self.inner.call(with_token(request, &token)),
                token,
            },
            None => {
                // The one that is ready goes along; a clone of it is not.
                let clone = self.inner.clone();
                let (source, deadline) = (source.clone(), request.cx().deadline());
                let wait = async move {
                    let Some(deadline) = deadline else {
                        return source.get().await;
                    };
                    timeout_at(deadline, source.get())
                        .await
                        .unwrap_or_else(|_| {
                            Err(Error::new(Kind::Timeout, "there was no token in time"))
                        })
                };
                State::Waiting {
                    service: mem::replace(&mut self.inner, clone),
                    request: Some(request),
                    wait: Box::pin(wait),
                }
            }
        };
        BearerFuture { state, source }
    }
}

impl<S: Explain, F> Explain for Bearer<S, F> {
    fn explain(&self, out: &mut Explanation) {
        out.part("Bearer");
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of a [`Bearer`].
    #[must_use = "futures do nothing unless polled"]
    pub struct BearerFuture<S, F>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S, S::Future>,
        source: Arc<Source<F>>,
    }
}

/// The wait for a token.
type Wait = Pin<Box<dyn Future<Output = Result<Arc<Token>, Error>> + Send>>;

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        /// There is no token yet. It is rare, and so boxed.
        Waiting {
            service: S,
            request: Option<Request<Body>>,
            wait: Wait,
        },
        /// The call was made, with this token.
        Called {
            #[pin]
            inner: F,
            token: Arc<Token>,
        },
        /// The result was taken.
        Done,
    }
}

impl<S, F> Future for BearerFuture<S, F>
where
    S: Service<Request<Body>>,
    S::Error: From<Error> + AsError,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.state.as_mut().project() {
                StateProjection::Waiting {
                    service,
                    request,
                    wait,
                } => match ready!(wait.as_mut().poll(cx)) {
                    Ok(token) => {
                        let request = request.take().expect("taken with the state");
                        let inner = service.call(with_token(request, &token));
                        this.state.set(State::Called { inner, token });
                        continue;
                    }
                    Err(error) => Err(error.into()),
                },
                StateProjection::Called { inner, token } => {
                    let result = ready!(inner.poll(cx));
                    if is_refusal(result.as_ref().err()) {
                        this.source.forget(token);
                    }
                    result
                }
                StateProjection::Done => panic!("`BearerFuture` polled after completion"),
            };
            this.state.set(State::Done);
            return Poll::Ready(result);
        }
    }
}

fn with_token(mut request: Request<Body>, token: &Token) -> Request<Body> {
    let metadata = request.metadata_mut();
    metadata.insert(AUTHORIZATION, token.value().clone());
    request
}

fn is_refusal<E: AsError>(error: Option<&E>) -> bool {
    let error = error.and_then(AsError::as_error);
    error.is_some_and(|error| error.kind() == Kind::Unauthenticated)
}

impl<F> Clone for BearerLayer<F> {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
        }
    }
}

impl<S: Clone, F> Clone for Bearer<S, F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            source: self.source.clone(),
        }
    }
}

impl<F> fmt::Debug for BearerLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Bearer<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S: Service<Request<Body>>, F> fmt::Debug for BearerFuture<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerFuture").finish_non_exhaustive()
    }
}
