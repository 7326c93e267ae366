//! One endpoint that is kept connected.

use std::fmt;

use tower_layer::Layer;
use tower_service::Service;

use super::{Balance, BalanceLayer, Choice, Pick};
use crate::{
    Backoff, BoxError, Context, Lifecycle,
    replicas::{Member, Replicas},
    resolve::Fixed,
};

/// Makes of a connector a service that keeps one connection to one endpoint: it dials again when the connection
/// is lost, and a server that was stopped and started needs nobody's help.
///
/// It is a replica set of one, with all that belongs to it; see [`Balance`] for what a call without a
/// connection does.
#[derive(Clone, Debug)]
pub struct ReconnectLayer<T> {
    target: T,
    backoff: Backoff,
    dial_limit: Option<u32>,
    fail_fast: bool,
}

/// The service of [`ReconnectLayer`].
pub type Reconnect<S> = Balance<S, Only>;

/// The picker of a set of one: it takes the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Only {}

impl<T> ReconnectLayer<T> {
    /// Keeps a connection to `target`.
    pub fn new(target: T) -> Self {
        Self {
            target,
            backoff: Backoff::default(),
            dial_limit: None,
            fail_fast: false,
        }
    }

    /// How long to wait before another dial. Default: 10 ms growing to 1 s.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How many dials in a row may fail before there are no more, and calls fail at once. Default: `None`.
    #[must_use]
    pub fn dial_limit(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.dial_limit = failures.into();
        self
    }

    /// Whether calls fail at once while there is no connection. Default: they wait until their deadline.
    #[must_use]
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }
}

/// # Panics
/// [`layer`](Layer::layer) panics if called outside of a tokio runtime.
impl<T, C> Layer<C> for ReconnectLayer<T>
where
    T: Clone + fmt::Display + Send + Sync + 'static,
    C: Service<T, Response: Lifecycle + Clone, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Service = Reconnect<C::Response>;

    fn layer(&self, connector: C) -> Self::Service {
        let resolver = Fixed::one(self.target.clone());
        let builder = Replicas::builder(resolver, connector);
        let replicas = builder
            .backoff(self.backoff)
            .dial_limit(self.dial_limit)
            .start();
        BalanceLayer::new(Only {})
            .fail_fast(self.fail_fast)
            .layer(replicas)
    }
}

impl Pick for Only {
    fn pick(&self, _: &[Member], _: &Context) -> Choice {
        Choice::Member(0)
    }
}
