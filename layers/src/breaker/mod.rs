//! What keeps failing is left alone for a while.
//!
//! A breaker watches how the calls through it end. When too many fail, it opens: calls are refused at once, which
//! spares those who call the wait and the server the load. After a time one call is let through to see; if it
//! succeeds, the breaker closes.
//!
//! What it watches together is a [`Circuit`], by which it is also looked at, and opened and closed by hand:
//!
//! | circuits | layer | for |
//! |---|---|---|
//! | one for each service that the layer is put around | [`BreakerLayer::new`] | each endpoint: in [`Builder::layer`](crate::replicas::Builder::layer) |
//! | one | [`BreakerLayer::of`] | a whole client |
//! | one for each method | [`BreakerLayer::per_method`] | a server of which a part fails |
//! | one for each name that a function gives | [`BreakerLayer::by`] | whatever else fails together |
//!
//! ```
//! use std::time::Duration;
//! use steeple_layers::{
//!     BreakerLayer, BreakerPolicy, RetryLayer,
//!     breaker::{Circuits, State},
//! };
//! use tower::ServiceBuilder;
//!
//! let circuits = Circuits::new(BreakerPolicy::new().failures(10).ratio(0.5, 50));
//! let layers = ServiceBuilder::new()
//!     .layer(RetryLayer::default())
//!     .layer(BreakerLayer::per_method(circuits.clone()));
//!
//! circuits.of("Reports.Make").trip("the database is being moved");
//! println!("{}", circuits.of("Reports.Make").state());
//! // open until it is reset: the database is being moved
//! circuits.of("Reports.Make").reset();
//! assert!(matches!(circuits.of("Reports.Make").state(), State::Closed { .. }));
//! # let _ = layers;
//! ```
//!
//! # What counts
//!
//! A failure is what speaks against the server: it was not there, not in time, overloaded, or broke. That an
//! application answers with an error speaks for it, and so does the refusal of a request that cannot be. What the caller
//! gave up counts as neither, so calls have to end by themselves to be counted: a steeple connection ends them at
//! their deadline, and over other services a [per-attempt timeout](crate::TimeoutLayer::per_attempt) inside of this
//! layer does.
//!
//! # Or ejection
//!
//! A set of [`Replicas`](crate::Replicas) leaves out endpoints whose calls fail in a row, [by
//! itself](crate::replicas::Ejection), without refusing a call. A breaker on each endpoint adds the share of failures,
//! and refuses; a [`RetryLayer`](crate::RetryLayer) takes such a call, which was never sent, to another endpoint, at once
//! and for free.

mod circuit;
mod circuits;
mod future;
mod policy;
mod state;
mod window;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    circuit::Circuit, circuits::Circuits, future::BreakerFuture, policy::BreakerPolicy,
    state::State,
};
use crate::{
    AsError, Carry, Error, Method,
    decided::Decided,
    explain::{Explain, Explanation},
};

/// Refuses calls while too many fail.
#[derive(Clone, Debug)]
pub struct BreakerLayer {
    source: Source,
}

/// Where the circuit of a service comes from.
#[derive(Clone, Debug)]
enum Source {
    /// A new one.
    Own(BreakerPolicy),
    Given(Watched),
}

/// The circuit of a call.
#[derive(Clone)]
enum Watched {
    One(Circuit),
    Named(Circuits, Key),
}

type Key = Arc<dyn Fn(&crate::Context) -> Method + Send + Sync>;

impl BreakerLayer {
    /// Gives each service that it is put around a circuit of its own, which its clones share.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self {
            source: Source::Own(policy),
        }
    }

    /// Watches all calls through this layer as one.
    pub fn of(circuit: Circuit) -> Self {
        Self {
            source: Source::Given(Watched::One(circuit)),
        }
    }

    /// Watches each method by itself.
    pub fn per_method(circuits: Circuits) -> Self {
        Self::by(circuits, |cx| cx.method().clone())
    }

    /// Watches the calls together that `name` gives the same name.
    pub fn by(
        circuits: Circuits,
        name: impl Fn(&crate::Context) -> Method + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Source::Given(Watched::Named(circuits, Arc::new(name))),
        }
    }
}

/// A circuit for each service, by the default [`BreakerPolicy`].
impl Default for BreakerLayer {
    fn default() -> Self {
        Self::new(BreakerPolicy::default())
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Breaker<S> {
        let watched = match &self.source {
            Source::Own(policy) => Watched::One(Circuit::new(policy.clone())),
            Source::Given(watched) => watched.clone(),
        };
        Breaker { inner, watched }
    }
}

/// See [`BreakerLayer`].
///
/// # Errors
/// [`Kind::Unreachable`](crate::Kind::Unreachable), not sent, while the circuit is open. The message says why and for how
/// long, and so does [`retry_after`](Error::retry_after) unless it was opened by hand.
#[derive(Clone, Debug)]
pub struct Breaker<S> {
    inner: S,
    watched: Watched,
}

impl<S, R> Service<R> for Breaker<S>
where
    R: Carry,
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BreakerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> BreakerFuture<S::Future> {
        let entered = match &self.watched {
            Watched::One(circuit) => circuit.enter(),
            Watched::Named(circuits, key) => circuits.of(key(request.cx())).enter(),
        };
        BreakerFuture::new(match entered {
            Ok(pass) => Decided::called(self.inner.call(request), pass),
            Err(error) => Decided::refused_by(&mut self.inner, error),
        })
    }
}

impl<S: Explain> Explain for Breaker<S> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("Breaker");
        match &self.watched {
            Watched::One(circuit) => part.setting(circuit.state()),
            Watched::Named(circuits, _) => part.count(circuits.all().len(), "circuit"),
        };
        self.inner.explain(out);
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(circuit) => circuit.fmt(f),
            Self::Named(circuits, _) => circuits.fmt(f),
        }
    }
}
