//! So many calls in so long, of all together or of each caller.
//!
//! [`RateLimitLayer`] lets calls pass at a [`Rate`], exactly, and in the order in which they came. One that comes too
//! soon waits for its turn; if its deadline is sooner than that, or too many wait, in all or of its key, it is refused at
//! once: [`Kind::Overflow`](crate::Kind::Overflow), [`NotStarted`](crate::Execution::NotStarted), and
//! [`retry_after`](crate::Error::retry_after) says when its turn would be.
//!
//! On a client it keeps to what a server has asked for; on a server it protects what is behind it, and with a key it
//! protects callers from each other:
//!
//! ```
//! use steeple_layers::{Carry, Context, Error, Kind, RateLimitLayer, rate_limit::Rate};
//! use tower::{Service, ServiceBuilder, service_fn};
//!
//! # struct Request { cx: Context, caller: &'static str }
//! # impl Carry for Request {
//! #     fn cx(&self) -> &Context { &self.cx }
//! #     fn cx_mut(&mut self) -> &mut Context { &mut self.cx }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // A hundred calls per second for each caller, ten at once, and none waits.
//! let limit = RateLimitLayer::new(Rate::per_second(100).burst(10))
//!     .max_waiting(0)
//!     .by(|request: &Request| request.caller);
//! let mut service = ServiceBuilder::new()
//!     .layer(limit)
//!     .service(service_fn(|_: Request| async { Ok::<_, Error>(()) }));
//!
//! let mut call = |caller| service.call(Request { cx: Context::new("Get"), caller });
//! for _ in 0..10 {
//!     call("greedy").await?;
//! }
//! let refused = call("greedy").await.unwrap_err();
//! assert_eq!(refused.kind(), Kind::Overflow);
//! assert!(refused.retry_after().unwrap().as_millis() < 10);
//! call("modest").await?;
//! # Ok(())
//! # }
//! ```
//!
//! A layer is one limit: all that is made of it and its clones shares it. tower's limits each service on its own, and
//! cannot be cloned.
//!
//! A key is kept while it has used something of its rate that has not come back; those that have used nothing for a while
//! cost no memory. Of [`max_keys`](RateLimitLayer::max_keys) the one that has used least goes when another comes, so
//! that one gets what it had used back early. Whoever can call by any number of keys is not limited by them: take what a
//! caller cannot choose, such as an identity or an address.

mod future;
mod rate;
mod table;
mod ticket;

use std::{
    fmt,
    hash::Hash,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

pub use self::{future::RateLimitFuture, rate::Rate};
use self::{table::Limits, ticket::Limiter};
use crate::{
    AsError, Carry, Error,
    explain::{Explain, Explanation},
};

/// Lets calls pass at a rate. Clones share it.
pub struct RateLimitLayer<B = Together, K = ()> {
    limits: Limits,
    limiter: Arc<Limiter<K>>,
    by: B,
}

/// Says by what calls are told apart.
///
/// Implemented for closures from `&Request` to a key.
pub trait KeyOf<R> {
    /// What callers are told apart by.
    type Key: Hash + Eq + Clone;

    /// The key of this call.
    fn key(&self, request: &R) -> Self::Key;
}

impl<R, K: Hash + Eq + Clone, F: Fn(&R) -> K> KeyOf<R> for F {
    type Key = K;

    fn key(&self, request: &R) -> K {
        self(request)
    }
}

/// All calls have one limit together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Together;

impl<R> KeyOf<R> for Together {
    type Key = ();

    fn key(&self, _: &R) {}
}

impl RateLimitLayer {
    /// How many keys are kept unless this layer says otherwise, 65 536: of short ones some ten megabytes.
    pub const MAX_KEYS: usize = 65_536;

    /// How many calls may wait unless this layer says otherwise, 1024.
    pub const MAX_WAITING: usize = 1024;

    /// How many calls of one key may wait unless this layer says otherwise, 64: it takes sixteen greedy callers to keep the
    /// others from waiting.
    pub const MAX_WAITING_OF_KEY: usize = 64;

    /// One rate for all calls together, with the defaults above.
    pub fn new(rate: Rate) -> Self {
        let limits = Limits {
            rate,
            max_keys: Self::MAX_KEYS,
            max_waiting: Self::MAX_WAITING,
            max_waiting_of_key: None,
        };
        Self {
            limiter: Limiter::new(limits),
            limits,
            by: Together,
        }
    }

    /// The rate for each key: of a peer, an identity, a method. What it is by for callers over a connection, `steeple::layers`
    /// has as an example.
    ///
    /// As all settings this makes a new limit, of which nothing has been used: they are for the beginning.
    #[must_use]
    pub fn by<R, K, F>(self, key: F) -> RateLimitLayer<F, K>
    where
        F: Fn(&R) -> K,
        K: Hash + Eq + Clone,
    {
        let mut limits = self.limits;
        let of_key = &mut limits.max_waiting_of_key;
        of_key.get_or_insert(Self::MAX_WAITING_OF_KEY);
        RateLimitLayer {
            limiter: Limiter::new(limits),
            limits,
            by: key,
        }
    }
}

impl<B, K: Hash + Eq + Clone> RateLimitLayer<B, K> {
    /// How many calls may wait for their turn, of all keys together. With 0, whatever comes too soon is refused.
    #[must_use]
    pub fn max_waiting(self, calls: usize) -> Self {
        self.set(|limits| limits.max_waiting = calls)
    }

    /// How many calls of one key may wait for their turn. Default: [64](RateLimitLayer::MAX_WAITING_OF_KEY), and without
    /// keys all that may wait.
    #[must_use]
    pub fn max_waiting_of_key(self, calls: usize) -> Self {
        self.set(|limits| limits.max_waiting_of_key = Some(calls))
    }

    /// How many keys are kept, at least 1.
    #[must_use]
    pub fn max_keys(self, keys: usize) -> Self {
        self.set(|limits| limits.max_keys = keys.max(1))
    }

    fn set(mut self, set: impl FnOnce(&mut Limits)) -> Self {
        set(&mut self.limits);
        self.limiter = Limiter::new(self.limits);
        self
    }
}

impl<S, B: Clone, K> Layer<S> for RateLimitLayer<B, K> {
    type Service = RateLimit<S, B, K>;

    fn layer(&self, inner: S) -> RateLimit<S, B, K> {
        RateLimit {
            inner,
            limiter: self.limiter.clone(),
            by: self.by.clone(),
        }
    }
}

/// See [`RateLimitLayer`].
pub struct RateLimit<S, B = Together, K = ()> {
    inner: S,
    limiter: Arc<Limiter<K>>,
    by: B,
}

impl<S, B, K, R> Service<R> for RateLimit<S, B, K>
where
    R: Carry,
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
    B: KeyOf<R, Key = K>,
    K: Hash + Eq + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RateLimitFuture<S, R, K>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> RateLimitFuture<S, R, K> {
        let key = self.by.key(&request);
        match self.limiter.enter(key, request.cx().deadline()) {
            Ok(None) => RateLimitFuture::called(self.inner.call(request)),
            Ok(Some(ticket)) => {
                let next = self.inner.clone();
                let ready = mem::replace(&mut self.inner, next);
                RateLimitFuture::waiting(ticket, ready, request)
            }
            Err(error) => RateLimitFuture::refused(&mut self.inner, error),
        }
    }
}

impl<S: Explain, B, K> Explain for RateLimit<S, B, K> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("RateLimit");
        part.setting(self.limiter.rate());
        self.inner.explain(out);
    }
}

impl<B: Clone, K> Clone for RateLimitLayer<B, K> {
    fn clone(&self) -> Self {
        Self {
            limits: self.limits,
            limiter: self.limiter.clone(),
            by: self.by.clone(),
        }
    }
}

impl<S: Clone, B: Clone, K> Clone for RateLimit<S, B, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            limiter: self.limiter.clone(),
            by: self.by.clone(),
        }
    }
}

impl<B, K> fmt::Debug for RateLimitLayer<B, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, B, K> fmt::Debug for RateLimit<S, B, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
