//! The side that is called.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use steeple_layers::explain::{Explain, Explanation};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Span, field};

use super::{TraceContext, current::Scope, ids::Ids};
use crate::Request;

/// Continues the trace of each caller, or begins one where a caller names none that is valid.
///
/// The handler is a span of its own, below the caller's. It finds it as a [`TraceContext`] in the request's
/// extensions, calls that it makes through a [`PropagateTraceLayer`](super::PropagateTraceLayer) belong to it, and so
/// do the events that it writes: it runs in a `tracing` span with the target `steeple::trace`, the level *info* and
/// the name `call`.
///
/// | field | is |
/// |---|---|
/// | `method` | as in the [`Context`](crate::Context) |
/// | `trace_id`, `span_id` | of the handler, as hex |
/// | `parent_span_id` | of the caller, as hex, if it named one |
#[derive(Clone, Debug, Default)]
pub struct TraceLayer {
    ids: Ids,
}

impl TraceLayer {
    /// With random ids.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes ids that follow from a seed, for tests. Default: random ones.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.ids = Ids::seeded(seed);
        self
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace {
            inner,
            ids: self.ids.clone(),
        }
    }
}

/// See [`TraceLayer`].
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    ids: Ids,
}

impl<S, B> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> TraceFuture<S::Future> {
        let parent = TraceContext::from_metadata(request.metadata());
        let context = self.ids.span(parent.as_ref());
        let span = tracing::info_span!(
            target: "steeple::trace",
            "call",
            method = %request.method(),
            trace_id = %format_args!("{:032x}", context.trace_id()),
            span_id = %format_args!("{:016x}", context.span_id()),
            parent_span_id = field::Empty,
        );
        if let Some(parent) = parent
            && !span.is_disabled()
        {
            let id = format_args!("{:016x}", parent.span_id());
            span.record("parent_span_id", field::display(id));
        }
        request.extensions_mut().insert(context.clone());
        let inner = {
            let _scope = Scope::enter(context.clone());
            let _entered = span.enter();
            self.inner.call(request)
        };
        TraceFuture {
            inner,
            context,
            span,
        }
    }
}

impl<S: Explain> Explain for Trace<S> {
    fn explain(&self, out: &mut Explanation) {
        out.part("Trace");
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of a [`Trace`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TraceFuture<F> {
        #[pin]
        inner: F,
        context: TraceContext,
        span: Span,
    }
}

impl<F: Future> Future for TraceFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _scope = Scope::enter(this.context.clone());
        let _entered = this.span.enter();
        this.inner.poll(cx)
    }
}
