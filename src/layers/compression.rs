//! Which bodies are compressed.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use steeple_layers::explain::{Explain, Explanation, Role};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Body, BodyCompression, Request, Response};

/// Has long bodies compressed on their way, one by one.
///
/// It only [marks](Body::set_compression) them. The connection compresses what is marked, if its peer decodes that
/// and the body gets shorter, and the other end decompresses it again: layers, handlers and callers never see it.
/// Callers do both in their own tasks, as do handlers that have one. A request is decompressed before its handler
/// starts, in the task of the connection, which does nothing else for as long: about a millisecond for a MiB.
///
/// A peer without the feature, or with
/// [another setting](crate::wire::native::Limits::compressions), gets the body as it is, and so does one that has
/// not said yet what it decodes: [`Stats::compression_refused`](crate::Stats) counts these.
///
/// On a client it is for the requests, on a server for the answers. It marks both, which is harmless: a mark
/// matters where a body leaves by a connection. Layers that change bodies go outside of it on a client, since what
/// they make is not marked; the innermost place is the safe one.
///
/// A call that says that [its bodies are not to be compressed](crate::Context::compression), as a rule by the
/// [policy of its method](super::policies), is left alone in both directions.
///
/// Secrets should not share a message with what an attacker may choose: the length tells of what repeats. That is
/// why nothing is compressed by default.
///
/// ```
/// # #[cfg(feature = "lz4")] {
/// use steeple::{Error, Request, Response, layers::CompressionLayer};
/// use tower::{ServiceBuilder, service_fn};
///
/// let service = ServiceBuilder::new()
///     .layer(CompressionLayer::lz4().min_size(4096))
///     .service(service_fn(async |request: Request| {
///         Ok::<_, Error>(Response::new(request.into_body()))
///     }));
/// # let _ = service; }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CompressionLayer {
    compression: BodyCompression,
    min_size: usize,
}

/// Shorter bodies gain little, and cost as much as the rest of their call.
const MIN_SIZE: usize = 1024;

impl CompressionLayer {
    /// By LZ4: for bodies that are compressed because it is cheap, in a fast network.
    #[cfg(feature = "lz4")]
    pub fn lz4() -> Self {
        Self::new(BodyCompression::Lz4)
    }

    /// By Zstandard: for bodies that are worth some microseconds each, since the network is slow or is paid for.
    #[cfg(feature = "zstd")]
    pub fn zstd() -> Self {
        Self::new(BodyCompression::Zstd)
    }

    fn new(compression: BodyCompression) -> Self {
        Self {
            compression,
            min_size: MIN_SIZE,
        }
    }

    /// Leaves bodies alone that are shorter than this, in bytes. Default: 1 KiB. Below some 512 there is nothing
    /// to be gained.
    #[must_use]
    pub fn min_size(mut self, bytes: usize) -> Self {
        self.min_size = bytes;
        self
    }

    fn mark(&self, body: &mut Body) {
        if body.len() >= self.min_size {
            body.set_compression(self.compression);
        }
    }
}

impl<S> Layer<S> for CompressionLayer {
    type Service = Compress<S>;

    fn layer(&self, inner: S) -> Compress<S> {
        Compress {
            inner,
            layer: *self,
        }
    }
}

/// See [`CompressionLayer`].
#[derive(Clone, Debug)]
pub struct Compress<S> {
    inner: S,
    layer: CompressionLayer,
}

impl<S> Service<Request<Body>> for Compress<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = CompressFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> CompressFuture<S::Future> {
        let layer = (request.cx().compression() != Some(false)).then_some(self.layer);
        if let Some(layer) = layer {
            layer.mark(request.body_mut());
        }
        CompressFuture {
            inner: self.inner.call(request),
            layer,
        }
    }
}

impl<S: Explain> Explain for Compress<S> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("Compress");
        part.role(Role::MarksBodies).role(Role::ObeysPolicies);
        let CompressionLayer {
            compression,
            min_size,
        } = self.layer;
        part.setting(format_args!("{compression:?} from {min_size} bytes on"));
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of a [`Compress`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct CompressFuture<F> {
        #[pin]
        inner: F,
        // None for a call whose bodies are left alone.
        layer: Option<CompressionLayer>,
    }
}

impl<F, E> Future for CompressFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut result = ready!(this.inner.poll(cx));
        if let (Ok(response), Some(layer)) = (&mut result, this.layer) {
            layer.mark(response.body_mut());
        }
        Poll::Ready(result)
    }
}
