//! Services that do not tell what they do.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

use super::{Explain, Explanation, Role, name_of};

/// A layer from elsewhere, shown by the name of its service's type; what is inside of it is told as ever.
///
/// It adds nothing to a call. To tell, it keeps a clone of what is inside, which is never called.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpaqueLayer<L> {
    layer: L,
}

/// A service from elsewhere, shown by the name of its type. It adds nothing to a call.
#[derive(Clone)]
pub struct Opaque<S> {
    service: S,
    inside: Option<Arc<dyn Explain + Send + Sync>>,
}

impl<L> OpaqueLayer<L> {
    /// Shows this layer.
    pub fn new(layer: L) -> Self {
        Self { layer }
    }
}

impl<L, S> Layer<S> for OpaqueLayer<L>
where
    L: Layer<S>,
    S: Explain + Clone + Send + 'static,
{
    type Service = Opaque<L::Service>;

    fn layer(&self, inner: S) -> Opaque<L::Service> {
        let inside = Inside(Mutex::new(inner.clone()));
        Opaque {
            service: self.layer.layer(inner),
            inside: Some(Arc::new(inside)),
        }
    }
}

impl<S> Opaque<S> {
    /// Shows this service, and nothing that may be inside of it.
    pub fn new(service: S) -> Self {
        Self {
            service,
            inside: None,
        }
    }

    /// The service alone.
    pub fn into_inner(self) -> S {
        self.service
    }
}

/// tower's own, which are known.
const KNOWN: &[(&str, Role)] = &[
    ("Buffer", Role::Limits),
    ("ConcurrencyLimit", Role::Limits),
    ("Hedge", Role::Hedges),
    ("LoadShed", Role::Sheds),
    ("RateLimit", Role::LimitsAlone),
    ("Retry", Role::Repeats),
    ("Timeout", Role::AttemptTime),
];

impl<S> Explain for Opaque<S> {
    fn explain(&self, out: &mut Explanation) {
        let name = name_of::<S>();
        let is_towers = std::any::type_name::<S>().starts_with("tower::");
        let known = KNOWN.iter().find(|(known, _)| is_towers && *known == name);
        let role = known.map_or(Role::Unknown, |(_, role)| *role);
        out.part(name).role(role);
        if let Some(inside) = &self.inside {
            inside.explain(out);
        }
    }
}

/// A service that need not be `Sync`.
struct Inside<S>(Mutex<S>);

impl<S: Explain> Explain for Inside<S> {
    fn explain(&self, out: &mut Explanation) {
        let service = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        service.explain(out);
    }
}

impl<S: Service<R>, R> Service<R> for Opaque<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.service.call(request)
    }
}

impl<S: fmt::Debug> fmt::Debug for Opaque<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opaque").field(&self.service).finish()
    }
}
