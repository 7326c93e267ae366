//! How a set is made.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch};
use tower::layer::util::{Identity, Stack};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Ejection, HealthCheck, Ping, Probe, Replicas,
    control::Control,
    options::Options,
    shared::{Shared, Wish},
};
use crate::{Backoff, BoxError, Lifecycle, resolve::Resolver};

/// Makes [`Replicas`].
///
/// ```text
/// Replicas::builder(resolver, connector)
///     .layer(ConcurrencyLimitLayer::new(100))   // on each replica
///     .connections(2)
///     .slow_start(Duration::from_secs(30))
///     .start()
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder<R, C, L = Identity, H = Ping> {
    resolver: R,
    connector: C,
    layer: L,
    check: Option<HealthCheck<H>>,
    options: Options,
}

impl<R, C> Builder<R, C> {
    pub(super) fn new(resolver: R, connector: C) -> Self {
        Self {
            resolver,
            connector,
            layer: Identity::new(),
            check: None,
            options: Options::default(),
        }
    }
}

impl<R, C, L, H> Builder<R, C, L, H> {
    /// Puts a layer on each connection: a limit, a breaker, a timeout per attempt. The first is the
    /// outermost, as in `ServiceBuilder`.
    pub fn layer<M>(self, layer: M) -> Builder<R, C, Stack<M, L>, H> {
        Builder {
            resolver: self.resolver,
            connector: self.connector,
            layer: Stack::new(layer, self.layer),
            check: self.check,
            options: self.options,
        }
    }

    /// How many connections each endpoint has; a call takes the one with the fewest pending. Default: 1, which
    /// is also the least.
    pub fn connections(mut self, connections: usize) -> Self {
        self.options.connections = connections.max(1);
        self
    }

    /// Connects when there is a call, or [`Replicas::ready`] is asked, and not before. Default: at once.
    pub fn lazy(mut self) -> Self {
        self.options.lazy = true;
        self
    }

    /// Lets all connections go when nothing was called for so long; the next call brings them back. Default:
    /// `None`, they are kept.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.idle_timeout = timeout.into();
        self
    }

    /// How long the other side may take to open a connection that is dialled; how long a dial takes is the
    /// connector's affair. Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.options.handshake_timeout = timeout;
        self
    }

    /// Pings each connection after each `interval`, and lets go of one that does not answer within `timeout`.
    /// Default: no pings, since a steeple connection watches for silence by itself.
    pub fn ping(mut self, interval: Duration, timeout: Duration) -> Self {
        self.options.ping = Some((interval, timeout));
        self
    }

    /// Asks each connection whether it can be called, and leaves out those that cannot. Default: none is asked.
    pub fn health_check<P>(self, check: HealthCheck<P>) -> Builder<R, C, L, P> {
        let options = Options {
            strict_health: check.strict,
            ..self.options
        };
        Builder {
            resolver: self.resolver,
            connector: self.connector,
            layer: self.layer,
            check: Some(check),
            options,
        }
    }

    /// How long to wait before another dial. Default: 10 ms growing to 1 s, of which half is chance. A
    /// connection that lasted longer than the longest wait starts it anew.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.backoff = backoff;
        self
    }

    /// How many dials in a row may fail before an endpoint is given up, until it is listed anew. When all are
    /// given up, calls fail at once. Default: `None`, never.
    pub fn dial_limit(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.options.dial_limit = failures.into();
        self
    }

    /// When a replica whose calls fail is left out. Default: after 5 failures in a row.
    pub fn ejection(mut self, ejection: Ejection) -> Self {
        self.options.ejection = ejection;
        self
    }

    /// What a failed call counts as at least, where latencies are compared. Default: 1 s.
    pub fn failure_penalty(mut self, latency: Duration) -> Self {
        self.options.failure_penalty = latency;
        self
    }

    /// In which time the average of latencies falls to a third, if there are no calls: how soon a replica that was
    /// slow is given another chance. Default: 10 s, which bridges the pauses between calls.
    pub fn latency_memory(mut self, time: Duration) -> Self {
        self.options.latency_memory = time;
        self
    }

    /// In which time a replica that goes live grows from a tenth of its share to all of it, with the pickers that
    /// [go by it](crate::balance#weights-and-slow-start). Default: 0.
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.options.slow_start = time;
        self
    }

    /// Calls only the replicas of this zone, as long as [enough](Self::zone_share) of those can be called, and else
    /// those of all zones. Default: all zones alike.
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.options.zone = Some(zone.into());
        self
    }

    /// What share of the own zone is enough to call no other: of those that the resolver lists there, how many
    /// can be called. One is always needed. Default: 0.5.
    pub fn zone_share(mut self, share: f32) -> Self {
        self.options.zone_share = share.clamp(0.0, 1.0);
        self
    }

    /// What share of a [tier](crate::resolve::Target::with_priority) is enough to call none after it: of those that
    /// the resolver lists there, how many can be called. With fewer, the next tier is called as well. Default: 0,
    /// one of them is enough.
    pub fn tier_share(mut self, share: f32) -> Self {
        self.options.tier_share = share.clamp(0.0, 1.0);
        self
    }

    /// Starts the tasks of the set.
    ///
    /// What the resolver does wrong is told to calls, and by [`Replicas::ready`].
    ///
    /// # Panics
    /// If called outside of a tokio runtime, unless the set is [lazy](Self::lazy): then its tasks start with the
    /// first call.
    pub fn start<T, S>(self) -> Replicas<S>
    where
        T: Clone + fmt::Display + Send + 'static,
        R: Resolver<T>,
        C: Service<T, Response: Lifecycle + Clone, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + 'static,
        L: Layer<C::Response, Service = S> + Clone + Send + 'static,
        S: Clone + Send + Sync + 'static,
        H: Probe<C::Response>,
    {
        let lazy = self.options.lazy;
        let first = match lazy {
            true => Wish::Idle,
            false => Wish::Run,
        };
        let (wish, wishes) = watch::channel(first);
        let shared = Arc::new(Shared::new(self.options));
        let replicas = Replicas::from_parts(shared.clone(), wish);
        let control = Control {
            target: PhantomData,
            resolver: self.resolver,
            connector: self.connector,
            layer: self.layer,
            check: self.check,
            shared,
            wishes,
            handle: replicas.downgrade(),
        };
        match Handle::try_current() {
            Err(_) if lazy => replicas.defer(Box::pin(control.run())),
            _ => drop(tokio::spawn(control.run())),
        }
        replicas
    }
}
