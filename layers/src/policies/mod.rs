//! What holds for each method, said in one place.
//!
//! Some things are true of a method and not of a client: that it may run twice, that it takes a minute, that nobody
//! minds if it is refused first. [`MethodPolicies`] say them by the names of methods, and [`PolicyLayer`] writes what
//! holds for a call into its [`Context`](crate::Context), where the layers inside find it:
//!
//! | a policy says | who obeys |
//! |---|---|
//! | a deadline, a cap | whoever keeps deadlines: [`TimeoutLayer`](crate::TimeoutLayer), a connection |
//! | whether it is idempotent, how many attempts | [`RetryLayer`](crate::RetryLayer), with a [`RetryPolicy`](crate::RetryPolicy) |
//! | when to hedge | [`HedgeLayer`](crate::HedgeLayer), which counts hedges among the attempts |
//! | the priority | [`AdmissionLayer`](crate::AdmissionLayer), unless it is told otherwise |
//! | whether to compress | a layer that compresses |
//!
//! So the layer goes outside of all these, on a client or on a server. It is a look into a table for a call, and
//! nothing while there are no policies. They are replaced while calls go on, by any clone of the layer:
//!
//! ```
//! use std::time::Duration;
//!
//! use steeple_layers::{
//!     PolicyLayer, Priority, RetryLayer, TimeoutLayer,
//!     policies::{MethodPolicies, MethodPolicy},
//! };
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), steeple_layers::Error> {
//! let second = Duration::from_secs(1);
//! let policies = PolicyLayer::new(MethodPolicies::new([
//!     ("*", MethodPolicy::new().deadline(2 * second).cap(60 * second)),
//!     ("Users.*", MethodPolicy::new().idempotent(true).attempts(4)),
//!     // Of several, the most specific one decides, setting by setting: this one may not run twice.
//!     ("Users.Add", MethodPolicy::new().idempotent(false)),
//!     ("Reports.*", MethodPolicy::new().deadline(30 * second).priority(Priority::Background)),
//! ])?);
//!
//! let layers = ServiceBuilder::new()
//!     .layer(policies.clone())
//!     .layer(TimeoutLayer::default())
//!     .layer(RetryLayer::default());
//!
//! // Later, from a file that has changed:
//! policies.replace(MethodPolicies::new([("*", MethodPolicy::new().attempts(1))])?);
//! # let _ = layers;
//! # Ok(())
//! # }
//! ```
//!
//! A policy is the word of whoever runs the program, and holds whatever a call says of itself, but for the deadline:
//! there the caller may choose, and the cap limits the choice.

mod policy;
mod table;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::{ArcSwap, Cache};
use tower_layer::Layer;
use tower_service::Service;

pub use self::{policy::MethodPolicy, table::MethodPolicies};
use crate::{
    Carry,
    explain::{Explain, Explanation, Role},
};

/// Writes what holds for its method into every call. All clones, and all services they were put around, have the
/// same policies.
#[derive(Clone, Debug)]
pub struct PolicyLayer {
    policies: Arc<ArcSwap<MethodPolicies>>,
}

impl PolicyLayer {
    /// Begins with these policies.
    pub fn new(policies: MethodPolicies) -> Self {
        Self {
            policies: Arc::new(ArcSwap::from_pointee(policies)),
        }
    }

    /// The policies for now.
    pub fn policies(&self) -> Arc<MethodPolicies> {
        self.policies.load_full()
    }

    /// Has other policies for all calls from here on. Calls under way keep theirs.
    pub fn replace(&self, policies: MethodPolicies) {
        self.policies.store(Arc::new(policies));
    }
}

/// Without policies, until there are some.
impl Default for PolicyLayer {
    fn default() -> Self {
        Self::new(MethodPolicies::default())
    }
}

impl<S> Layer<S> for PolicyLayer {
    type Service = Policies<S>;

    fn layer(&self, inner: S) -> Policies<S> {
        Policies {
            inner,
            policies: Cache::new(self.policies.clone()),
        }
    }
}

/// See [`PolicyLayer`]. Its futures are those of the service inside.
#[derive(Clone)]
pub struct Policies<S> {
    inner: S,
    policies: Cache<Arc<ArcSwap<MethodPolicies>>, Arc<MethodPolicies>>,
}

impl<S, R> Service<R> for Policies<S>
where
    R: Carry,
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: R) -> S::Future {
        let policies = self.policies.load();
        if !policies.is_empty() {
            let cx = request.cx_mut();
            policies.policy(cx.method().as_str()).apply(cx);
        }
        self.inner.call(request)
    }
}

impl<S: Explain> Explain for Policies<S> {
    fn explain(&self, out: &mut Explanation) {
        let count = self.policies.arc_swap().load().len();
        let part = out.part("Policies").role(Role::Policies);
        part.count(count, "pattern");
        self.inner.explain(out);
    }
}

impl<S: fmt::Debug> fmt::Debug for Policies<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
