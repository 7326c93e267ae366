//! A call that failed is tried again, where that is safe and useful.
//!
//! *Safe* is what the error's [`execution`](crate::Error::execution) says: no handler has run, or the call is
//! idempotent. *Useful* is what its [`kind`](crate::Error::kind) says: another attempt, perhaps at another
//! replica, could end otherwise. [`RetryPolicy`] decides by both, waits between attempts, and draws on a
//! [`Budget`] that all clones share, so that retries do not become the storm that keeps a server down. A rule
//! of one's own is a [`Policy`].
//!
//! ```
//! use std::time::Duration;
//! use steeple_layers::{RetryLayer, RetryPolicy, TimeoutLayer};
//! use tower::ServiceBuilder;
//!
//! let layers = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_secs(20)))
//!     .layer(RetryLayer::new(RetryPolicy::new().attempts(4).idempotent(["Users.Get", "Users.List"])));
//! # let _ = layers;
//! ```
//!
//! A timeout layer goes outside, so that its deadline holds for all attempts together and the waits between
//! them; one more inside limits each attempt.
//!
//! Every attempt carries its number and the call's seed in the [`Context`](crate::Context): a balancer sends
//! the next one to another replica by them, and a connection puts the number on the wire.
//!
//! What fails in the end is the error of the attempt that got furthest, the latest of equals: if any attempt
//! may have been executed, the error never says that none was.
//!
//! tower's own `RetryLayer` works over the same services, with a `tower::retry::Policy` whose `clone_request`
//! is [`Replay::replay`]. This layer differs in that it copies the service only for a call that is
//! tried again, waits for it to be ready within the attempt, and asks one error instead of any result.

mod budget;
mod future;
mod policy;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

pub(crate) use self::future::furthest;
pub use self::{
    budget::Budget,
    future::RetryFuture,
    policy::{Policy, RetryPolicy},
};
use crate::{
    AsError, Error, Replay,
    explain::{Explain, Explanation, Role},
    spare::Spare,
};

/// Repeats failed calls as its policy says.
#[derive(Clone, Debug)]
pub struct RetryLayer<P = RetryPolicy> {
    policy: P,
}

impl<P: Policy> RetryLayer<P> {
    /// Repeats failed calls as `policy` says.
    pub fn new(policy: P) -> Self {
        Self { policy }
    }
}

/// As the default [`RetryPolicy`] says.
impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(RetryPolicy::default())
    }
}

impl<S: Clone, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Retry<S, P> {
        Retry::new(inner, self.policy.clone())
    }
}

/// See [`RetryLayer`].
pub struct Retry<S, P = RetryPolicy> {
    inner: S,
    again: Arc<Again<S, P>>,
}

/// What a call needs once an attempt has failed: each call holds it, and copies from it only then.
///
/// Every clone of [`Retry`] has its own. It makes a clone one allocation dearer, and keeps the calls of
/// different tasks off each other's cache lines.
///
/// In this order: the count of references and what a policy counts are written by every call, and lie together.
#[repr(C)]
struct Again<S, P> {
    policy: P,
    spare: Spare<S>,
}

impl<S: Clone, P> Retry<S, P> {
    fn new(inner: S, policy: P) -> Self {
        let spare = Spare::new(&inner);
        Self {
            inner,
            again: Arc::new(Again { spare, policy }),
        }
    }
}

impl<S: Explain, P: Policy> Explain for Retry<S, P> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("Retry");
        part.role(Role::Repeats).role(Role::ObeysPolicies);
        self.again.policy.explain(part);
        self.inner.explain(out);
    }
}

impl<S, P, R> Service<R> for Retry<S, P>
where
    R: Replay,
    P: Policy,
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RetryFuture<S, R, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: R) -> RetryFuture<S, R, P> {
        let may_repeat = self.again.policy.begin(request.cx());
        if may_repeat && request.cx().seed() == 0 {
            request.cx_mut().set_seed(fastrand::u32(1..));
        }
        let replay = if may_repeat { request.replay() } else { None };
        RetryFuture::new(self.inner.call(request), replay, self.again.clone())
    }
}

impl<S: Clone, P: Clone> Clone for Retry<S, P> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.again.policy.clone())
    }
}

impl<S: fmt::Debug, P: fmt::Debug> fmt::Debug for Retry<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("policy", &self.again.policy)
            .finish()
    }
}
