//! Bodies that go through functions of the user's.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use pin_project_lite::pin_project;
use steeple_layers::explain::{Explain, Explanation, Role};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Body, BoxError, Error, Execution, Kind, Request, Response};

/// Encodes bodies that leave and decodes those that arrive, by a pair of functions: to encrypt, to sign, to pack.
///
/// Of several, each side has the other's in reverse, as layers are anyway: what a client puts on last, a server
/// takes off first. So the innermost of the client's is the outermost of the server's.
///
/// Only bodies of requests and of successful answers go through the functions. The name of the method, metadata and
/// errors, with their texts and details, travel as they are. Where that tells too much, encrypt the connection. The
/// example `encrypted` has a real cipher.
///
/// A function that fails, fails its call with [`Kind::Invalid`]: a request is then not sent, or not started, and
/// the handler of an answer has run to its end.
///
/// ```
/// use steeple::{Body, BoxError, Channel, Error, Request, Response, Server, layers::TransformLayer};
/// use bytes::Bytes;
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// /// A toy: it hides nothing from anybody.
/// fn toy_xor(body: Bytes) -> Result<Bytes, BoxError> {
///     Ok(body.iter().map(|byte| byte ^ 0x55).collect())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let service = ServiceBuilder::new()
///     .layer(TransformLayer::server(toy_xor, toy_xor))
///     .service(service_fn(async |request: Request| {
///         assert_eq!(request.body().as_bytes(), "hello");
///         Ok::<_, Error>(Response::new(request.into_body()))
///     }));
/// let server = Server::bind("tcp://127.0.0.1:0").await?;
/// let handle = server.handle();
/// tokio::spawn(server.serve(service));
///
/// let mut client = ServiceBuilder::new()
///     .layer(TransformLayer::client(toy_xor, toy_xor))
///     .service(Channel::connect(handle.address()).await?);
/// let response = client.call(Request::new("Echo", Body::from("hello"))).await?;
/// assert_eq!(response.body().as_bytes(), "hello");
/// # handle.drain().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TransformLayer<Q, A> {
    of_request: Q,
    of_answer: A,
    /// What a request has come to that is refused here.
    refused: Execution,
}

impl<Q, A> TransformLayer<Q, A>
where
    Q: Fn(Bytes) -> Result<Bytes, BoxError> + Clone,
    A: Fn(Bytes) -> Result<Bytes, BoxError> + Clone,
{
    /// For a client: requests go through `encode`, answers through `decode`.
    pub fn client(encode: Q, decode: A) -> Self {
        Self {
            of_request: encode,
            of_answer: decode,
            refused: Execution::NotSent,
        }
    }

    /// For a server: answers go through `encode`, requests through `decode`.
    pub fn server(encode: A, decode: Q) -> Self {
        Self {
            of_request: decode,
            of_answer: encode,
            refused: Execution::NotStarted,
        }
    }
}

impl<S, Q: Clone, A: Clone> Layer<S> for TransformLayer<Q, A> {
    type Service = Transform<S, Q, A>;

    fn layer(&self, inner: S) -> Transform<S, Q, A> {
        Transform {
            inner,
            layer: self.clone(),
        }
    }
}

/// See [`TransformLayer`].
#[derive(Clone)]
pub struct Transform<S, Q, A> {
    inner: S,
    layer: TransformLayer<Q, A>,
}

impl<S, Q, A> Service<Request<Body>> for Transform<S, Q, A>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone,
    S::Error: From<Error>,
    Q: Fn(Bytes) -> Result<Bytes, BoxError>,
    A: Fn(Bytes) -> Result<Bytes, BoxError> + Clone,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = TransformFuture<S::Future, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> TransformFuture<S::Future, A> {
        if let Err(error) = apply(&self.layer.of_request, request.body_mut()) {
            // What it holds for being ready might be what another caller waits for.
            self.inner = self.inner.clone();
            return TransformFuture {
                inner: None,
                of_answer: self.layer.of_answer.clone(),
                refused: Some(error.with_execution(self.layer.refused)),
            };
        }
        TransformFuture {
            inner: Some(self.inner.call(request)),
            of_answer: self.layer.of_answer.clone(),
            refused: None,
        }
    }
}

impl<S: Explain, Q, A> Explain for Transform<S, Q, A> {
    fn explain(&self, out: &mut Explanation) {
        out.part("Transform").role(Role::ReplacesBodies);
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of a [`Transform`].
    #[must_use = "futures do nothing unless polled"]
    pub struct TransformFuture<F, A> {
        // None if the request did not go on.
        #[pin]
        inner: Option<F>,
        of_answer: A,
        // Why it did not, until that is told.
        refused: Option<Error>,
    }
}

impl<F, A, E> Future for TransformFuture<F, A>
where
    F: Future<Output = Result<Response<Body>, E>>,
    E: From<Error>,
    A: Fn(Bytes) -> Result<Bytes, BoxError>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let error = this.refused.take();
            let error = error.expect("`TransformFuture` polled after completion");
            return Poll::Ready(Err(error.into()));
        };
        let mut response = ready!(inner.poll(cx))?;
        let done = apply(&*this.of_answer, response.body_mut());
        done.map_err(|error| error.with_execution(Execution::Executed))?;
        Poll::Ready(Ok(response))
    }
}

/// Puts a body through a function; how it was encoded stays.
fn apply(f: impl Fn(Bytes) -> Result<Bytes, BoxError>, body: &mut Body) -> Result<(), Error> {
    let encoding = body.encoding();
    let bytes = std::mem::take(body).into_bytes();
    let bytes = f(bytes).map_err(|error| {
        Error::new(Kind::Invalid, "a body cannot be transformed").with_source(error)
    })?;
    *body = Body::encoded(bytes, encoding);
    Ok(())
}

impl<Q, A> fmt::Debug for TransformLayer<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, Q, A> fmt::Debug for Transform<S, Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transform")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<F, A> fmt::Debug for TransformFuture<F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformFuture")
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}
