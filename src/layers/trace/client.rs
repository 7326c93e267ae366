//! The side that calls.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use steeple_layers::explain::{Explain, Explanation};
use tower_layer::Layer;
use tower_service::Service;

use super::{TraceContext, ids::Ids};
use crate::Request;

/// Says in the metadata of each call where in a trace it belongs.
///
/// A call is a span of its own, below the first of these that there is: a [`TraceContext`] in the request's
/// extensions, what the hook [`current`](Self::current) says, or the span of the handler that makes the call. A
/// call outside of all traces begins one, which is sampled, unless [`begin`](Self::begin) is off.
///
/// Inside of a layer that retries every attempt is a span, outside of it all of them are one.
#[derive(Clone, Default)]
pub struct PropagateTraceLayer {
    current: Option<Arc<Hook>>,
    never_begins: bool,
    ids: Ids,
}

type Hook = dyn Fn() -> Option<TraceContext> + Send + Sync;

impl PropagateTraceLayer {
    /// Without a hook; begins traces.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `current` for the current span where the request names none, in the task of the caller: that of
    /// OpenTelemetry or of another tracer. If it says `None`, the span of the handler is the current one.
    ///
    /// ```
    /// use steeple::layers::trace::{PropagateTraceLayer, TraceContext};
    ///
    /// # fn tracer_ids() -> (u128, u64) { (1, 1) }
    /// let layer = PropagateTraceLayer::new().current(|| {
    ///     // With OpenTelemetry: `Span::current().context().span().span_context()`.
    ///     let (trace_id, span_id) = tracer_ids();
    ///     TraceContext::new(trace_id, span_id, true)
    /// });
    /// ```
    #[must_use]
    pub fn current<F>(mut self, current: F) -> Self
    where
        F: Fn() -> Option<TraceContext> + Send + Sync + 'static,
    {
        self.current = Some(Arc::new(current));
        self
    }

    /// Whether a call outside of all traces begins one. Default: yes.
    #[must_use]
    pub fn begin(mut self, begin: bool) -> Self {
        self.never_begins = !begin;
        self
    }

    /// Makes ids that follow from a seed, for tests. Default: random ones.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.ids = Ids::seeded(seed);
        self
    }

    /// Says in the metadata of a call where in a trace it belongs, if it does.
    pub(crate) fn mark<B>(&self, request: &mut Request<B>) {
        if let Some(span) = self.span(request) {
            span.write_to(request.metadata_mut());
        }
    }

    /// The span of a call, if it belongs to a trace.
    fn span<B>(&self, request: &Request<B>) -> Option<TraceContext> {
        let named = request.extensions().get().cloned();
        let parent = named
            .or_else(|| self.current.as_ref()?())
            .or_else(TraceContext::current);
        if parent.is_none() && self.never_begins {
            return None;
        }
        Some(self.ids.span(parent.as_ref()))
    }
}

impl<S> Layer<S> for PropagateTraceLayer {
    type Service = PropagateTrace<S>;

    fn layer(&self, inner: S) -> PropagateTrace<S> {
        PropagateTrace {
            inner,
            layer: self.clone(),
        }
    }
}

/// See [`PropagateTraceLayer`].
#[derive(Clone, Debug)]
pub struct PropagateTrace<S> {
    inner: S,
    layer: PropagateTraceLayer,
}

impl<S, B> Service<Request<B>> for PropagateTrace<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.layer.mark(&mut request);
        self.inner.call(request)
    }
}

impl<S: Explain> Explain for PropagateTrace<S> {
    fn explain(&self, out: &mut Explanation) {
        out.part("PropagateTrace");
        self.inner.explain(out);
    }
}

impl fmt::Debug for PropagateTraceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PropagateTraceLayer")
            .field("begin", &!self.never_begins)
            .finish_non_exhaustive()
    }
}
