//! Callers who ask the same thing at the same time share one call.
//!
//! A key that is asked for by a hundred callers at once, when a cache has just lost it, is one call with
//! a hundred answers. Nothing is kept: who comes after the answer makes a call anew.
//!
//! ```
//! use std::cell::Cell;
//!
//! use steeple_layers::{Carry, CoalesceLayer, Context, Error};
//! use tower::{Layer, Service, service_fn};
//!
//! #[derive(Clone)]
//! struct Get {
//!     cx: Context,
//!     user: u64,
//! }
//! # impl Carry for Get {
//! #     fn cx(&self) -> &Context { &self.cx }
//! #     fn cx_mut(&mut self) -> &mut Context { &mut self.cx }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let calls = Cell::new(0);
//! let users = service_fn(|get: Get| {
//!     calls.set(calls.get() + 1);
//!     async move {
//!         tokio::task::yield_now().await;
//!         Ok::<_, Error>(format!("user {}", get.user))
//!     }
//! });
//! // What is asked, as a key that tells all that differs; `None` is shared with nobody.
//! let mut users = CoalesceLayer::new(|get: &Get| Some(get.user)).layer(users);
//!
//! let get = Get { cx: Context::new("Users.Get"), user: 7 };
//! let (one, other) = (users.call(get.clone()), users.call(get));
//! let (one, other) = tokio::join!(one, other);
//! assert_eq!(one?, other?);
//! assert_eq!(calls.get(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! | what | |
//! |---|---|
//! | the key | has to tell all that makes a difference: the method, the body, and who asks, where the answer depends on it |
//! | the shared call | is that of the caller who came first, with its trace, its priority and whatever else; it should change nothing, since nobody asked for it twice |
//! | its deadline | is that of the first caller for all who share: they fail with it, though they may have more time |
//! | the answer | is cloned for each; so is the [error](crate::Error), whose cause all share |
//! | a caller who gives up | ends its own wait; the last to do so cancels the call |
//! | each caller's own deadline | is kept by a [`TimeoutLayer`](crate::TimeoutLayer) outside of this one, which must not be [kept below](crate::TimeoutLayer::kept_below) |
//! | messages without an answer | are shared with nobody |
//!
//! All clones of a service share. A call that is made alone pays for a key, a map with a lock, and an allocation or three.
//! Being ready is the inner service's affair: a caller that will share needs that too, and gives it back when it
//! does. So a limit stands outside of this layer, and lets as many wait as may share.

mod flight;
mod future;

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

pub use self::future::CoalesceFuture;
use self::{
    flight::{Flight, Place},
    future::Shared,
};
use crate::{
    Carry, Error,
    explain::{Explain, Explanation},
};

/// The most different calls that are shared at a time: others are made as if the layer were not there.
pub const MAX_KEYS: usize = 16 * 1024;

/// The most callers who share one call, since all of them are woken at once: those beyond share another.
pub const MAX_SHARING: usize = 1024;

/// Lets callers who ask the same thing at the same time share one call.
pub struct CoalesceLayer<F, R, K> {
    key: F,
    asks: PhantomData<fn(&R) -> K>,
}

impl<F, R, K> CoalesceLayer<F, R, K>
where
    F: Fn(&R) -> Option<K>,
{
    /// Shares calls with the same key; those without a key are made as if this layer were not there.
    pub fn new(key: F) -> Self {
        Self {
            key,
            asks: PhantomData,
        }
    }
}

impl<S, F, R, K> Layer<S> for CoalesceLayer<F, R, K>
where
    S: Service<R>,
    F: Clone,
{
    type Service = Coalesce<S, F, R, K>;

    fn layer(&self, inner: S) -> Coalesce<S, F, R, K> {
        Coalesce {
            inner,
            key: self.key.clone(),
            flights: Arc::default(),
        }
    }
}

/// See [`CoalesceLayer`].
pub struct Coalesce<S, F, R, K>
where
    S: Service<R>,
{
    inner: S,
    key: F,
    flights: Arc<Flights<K, S::Future, S::Response>>,
}

/// The calls under way that can be shared.
struct Flights<K, F, T>(Mutex<HashMap<K, Arc<Flight<F, T>>>>);

impl<S, F, R, K> Service<R> for Coalesce<S, F, R, K>
where
    R: Carry,
    K: Clone + Eq + Hash,
    F: Fn(&R) -> Option<K>,
    S: Service<R> + Clone,
    S::Response: Clone,
    S::Error: From<Error> + Into<Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CoalesceFuture<K, S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let key = match request.cx().is_one_way() {
            true => None,
            false => (self.key)(&request),
        };
        let Some(key) = key else {
            return CoalesceFuture::alone(self.inner.call(request));
        };
        // The call is made outside of the lock, since it is not known what the service does. So of those who come at
        // the very same time, several may make one; who comes later shares the last.
        let joined = self.flights.join(&key);
        let begun = match joined {
            Some(place) => {
                // What it holds for being ready might be what the shared call waits for.
                self.inner = self.inner.clone();
                Ok(place)
            }
            None => self.flights.begin(&key, self.inner.call(request)),
        };
        match begun {
            Ok(place) => {
                let flights = self.flights.clone();
                CoalesceFuture::shared(Shared {
                    flights,
                    key,
                    place,
                })
            }
            Err(call) => CoalesceFuture::alone(call),
        }
    }
}

impl<S: Service<R> + Explain, F, R, K> Explain for Coalesce<S, F, R, K> {
    fn explain(&self, out: &mut Explanation) {
        out.part("Coalesce");
        self.inner.explain(out);
    }
}

impl<K: Eq + Hash, F, T> Flights<K, F, T> {
    /// A place in the call with this key that is under way.
    fn join(&self, key: &K) -> Option<Place<F, T>> {
        self.flights().get(key).and_then(Flight::join)
    }

    /// Makes a call one that can be shared, or gives it back if there are too many.
    fn begin(&self, key: &K, call: F) -> Result<Place<F, T>, F>
    where
        K: Clone,
    {
        let mut flights = self.flights();
        if flights.len() >= MAX_KEYS && !flights.contains_key(key) {
            return Err(call);
        }
        let (flight, place) = Flight::begin(call);
        let earlier = flights.insert(key.clone(), flight);
        drop(flights);
        // What ends with it does so outside of the lock.
        drop(earlier);
        Ok(place)
    }

    /// Nobody else can share this call any more.
    fn end(&self, key: &K, flight: &Arc<Flight<F, T>>) {
        let mut flights = self.flights();
        let is_it = flights.get(key).is_some_and(|it| Arc::ptr_eq(it, flight));
        let ended = if is_it { flights.remove(key) } else { None };
        drop(flights);
        drop(ended);
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<K, Arc<Flight<F, T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, F, T> Default for Flights<K, F, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<F: Clone, R, K> Clone for CoalesceLayer<F, R, K> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            asks: PhantomData,
        }
    }
}

impl<S, F, R, K> Clone for Coalesce<S, F, R, K>
where
    S: Service<R> + Clone,
    F: Clone,
{
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            key: self.key.clone(),
            flights: self.flights.clone(),
        }
    }
}

impl<F, R, K> fmt::Debug for CoalesceLayer<F, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceLayer").finish_non_exhaustive()
    }
}

impl<S: Service<R> + fmt::Debug, F, R, K> fmt::Debug for Coalesce<S, F, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesce")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
