//! A call that is slow is made once more, elsewhere, and the first answer wins.
//!
//! One replica that stalls now and then is most of what the slowest calls of a set have in common. A hedge is a
//! second attempt, made while the first still runs, after the time in which nearly all calls have their answer.
//! It costs a few calls more, and takes the stalls out of the tail.
//!
//! ```
//! use std::time::Duration;
//! use steeple_layers::{HedgeLayer, RetryLayer, RetryPolicy, TimeoutLayer, retry::Budget};
//! use tower::ServiceBuilder;
//!
//! let budget = Budget::default();
//! let gets = ["Users.Get", "Users.List"];
//! let layers = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_secs(20)))
//!     .layer(RetryLayer::new(RetryPolicy::new().idempotent(gets).budget(budget.clone())))
//!     // The slowest hundredth is hedged; after 50 ms, as long as nobody knows what is slow.
//!     .layer(
//!         HedgeLayer::percentile(99.0, Duration::from_millis(50))
//!             .idempotent(gets)
//!             .shared_budget(budget),
//!     );
//! # let _ = layers;
//! ```
//!
//! The layer stands inside of retries and outside of a balancer, which sends each attempt to another replica
//! by its number in the [`Context`](crate::Context). Over a single connection it helps nobody. Nor would it where only one
//! replica can be called, as in a [zone](crate::replicas::Builder::zone) or a tier of one: there a balancer says so, and
//! nothing is hedged.
//!
//! | what | |
//! |---|---|
//! | hedged are | calls that may run twice: [declared](HedgeLayer::idempotent) so, or [by themselves](crate::Context::set_idempotent), with a request that can be [replayed](crate::Replay) |
//! | a hedge begins | [after a fixed time](HedgeLayer::after), or the one in which a [percentile](HedgeLayer::percentile) of the calls have their answer; never when the deadline comes first. It counts from the arrival at this layer: what a call waits for further out, such as its turn, is no reason to hedge it |
//! | a hedge does not begin | and is not paid for, where the attempts have come to all replicas that [can be called](crate::replicas#who-is-called) |
//! | a call may say otherwise | by [when to hedge](crate::Context::hedge_delay) and [how many attempts](crate::Context::max_attempts) it has, as a rule by a [policy of its method](crate::policies) |
//! | it is paid for by | a [`Budget`], which retries can [share](HedgeLayer::shared_budget) |
//! | the call ends with | the first success, or the first error that another attempt would not change, such as that of an application |
//! | an attempt that fails otherwise | lets the others run on; the last to fail ends the call, with the error of the one that got furthest |
//! | an attempt that is asked [to come back later](crate::Error::retry_after) | is the reason for no more hedges |
//! | whoever has lost | is dropped at once, which cancels it on the wire |
//!
//! A call that fails before it was hedged simply fails: trying again is the affair of a
//! [`RetryLayer`](crate::RetryLayer).
//!
//! Latencies are counted in microseconds. The timers of a tokio runtime go by the millisecond, so a hedge begins up to
//! about two of these late, and never early.

mod future;
mod latencies;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

pub use self::future::HedgeFuture;
use self::latencies::Latencies;
use crate::{
    AsError, Error, Method, Replay,
    explain::{Explain, Explanation, Role},
    idempotent::Idempotent,
    retry::Budget,
    spare::Spare,
};

/// Makes slow calls once more, while they run.
///
/// | what | unless set |
/// |---|---|
/// | hedges of one call | 1 |
/// | methods that may run twice | none but what calls say of themselves |
/// | budget | 5 % of the calls, and 5 per second |
#[derive(Clone, Debug)]
pub struct HedgeLayer {
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    delay: Delay,
    hedges: u32,
    idempotent: Idempotent,
    budget: Budget,
    /// Whether another layer counts the calls.
    is_budget_shared: bool,
}

#[derive(Clone, Debug)]
enum Delay {
    Fixed(Duration),
    Learned {
        latencies: Latencies,
        first: Duration,
    },
}

impl HedgeLayer {
    /// The most hedges that a call can have, 8: more would be a broadcast.
    pub const MAX_HEDGES: u32 = 8;

    /// Hedges calls that have no answer after this time.
    pub fn after(delay: Duration) -> Self {
        Self::new(Delay::Fixed(delay))
    }

    /// Hedges calls that last longer than this many of a hundred do, such as 99.0; after the time `first`, until
    /// enough of them have ended to know.
    ///
    /// A percentile below 1 counts as 1, and one above 99.99 as that. What is known is of the calls that may be
    /// hedged, of all clones together, and of the last 10 to 20 seconds, or as many more as it takes to know:
    /// 200 calls for a percentile of 99. Calls that are [hedged sooner](crate::Context::set_hedge_delay) than others are not
    /// among them. Where methods differ much in what is slow, each kind has a layer
    /// of its own.
    pub fn percentile(percentile: f64, first: Duration) -> Self {
        let latencies = Latencies::new(percentile);
        Self::new(Delay::Learned { latencies, first })
    }

    fn new(delay: Delay) -> Self {
        Self {
            settings: Settings {
                delay,
                hedges: 1,
                idempotent: Idempotent::default(),
                budget: Budget::new(5, 5),
                is_budget_shared: false,
            },
        }
    }

    /// How long a call lasts before it is hedged, as of now.
    pub fn delay(&self) -> Duration {
        self.settings.delay.now()
    }

    /// How many hedges a call can have, each that much later than the one before; at most
    /// [`MAX_HEDGES`](Self::MAX_HEDGES).
    #[must_use]
    pub fn hedges(mut self, hedges: u32) -> Self {
        self.settings.hedges = hedges.min(Self::MAX_HEDGES);
        self
    }

    /// The methods that may run twice, in place of those named before; calls that
    /// [say so](crate::Context::set_idempotent) or otherwise of themselves are as they say.
    #[must_use]
    pub fn idempotent<M: Into<Method>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.settings.idempotent = Idempotent::new(methods);
        self
    }

    /// What pays for hedges. The calls through this layer are counted as those that earn it.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.settings.budget = budget;
        self.settings.is_budget_shared = false;
        self
    }

    /// What pays for hedges, and for what else a layer does that counts the same calls, such as a
    /// [`RetryLayer`](crate::RetryLayer): here they are not counted once more.
    #[must_use]
    pub fn shared_budget(mut self, budget: Budget) -> Self {
        self.settings.budget = budget;
        self.settings.is_budget_shared = true;
        self
    }
}

impl<S: Clone> Layer<S> for HedgeLayer {
    type Service = Hedge<S>;

    fn layer(&self, inner: S) -> Hedge<S> {
        Hedge::new(inner, self.settings.clone())
    }
}

/// See [`HedgeLayer`].
pub struct Hedge<S> {
    inner: S,
    again: Arc<Again<S>>,
}

/// What a call needs that is hedged: each clone of the service has its own, and each of its calls holds it.
struct Again<S> {
    spare: Spare<S>,
    settings: Settings,
}

impl<S: Clone> Hedge<S> {
    fn new(inner: S, settings: Settings) -> Self {
        let spare = Spare::new(&inner);
        Self {
            inner,
            again: Arc::new(Again { spare, settings }),
        }
    }
}

impl<S: Explain> Explain for Hedge<S> {
    fn explain(&self, out: &mut Explanation) {
        let settings = &self.again.settings;
        let part = out.part("Hedge");
        part.role(Role::Hedges).role(Role::ObeysPolicies);
        match &settings.delay {
            Delay::Fixed(delay) => part.setting(format_args!("after {delay:?}")),
            learned => part.setting(format_args!("by latency, now after {:?}", learned.now())),
        };
        part.count(settings.hedges as usize, "hedge");
        part.setting(&settings.budget);
        settings.idempotent.explain(part);
        self.inner.explain(out);
    }
}

impl<S, R> Service<R> for Hedge<S>
where
    R: Replay,
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = HedgeFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: R) -> HedgeFuture<S, R> {
        let cx = request.cx_mut();
        if !self.again.settings.begin(cx) {
            return HedgeFuture::once(self.inner.call(request));
        }
        if cx.seed() == 0 {
            cx.set_seed(fastrand::u32(1..));
        }
        // Of its own: since the start of the call it may have waited above, for its turn or for a token.
        let start = Instant::now();
        let replay = request.replay();
        let first = self.inner.call(request);
        match replay {
            Some(replay) => HedgeFuture::new(first, start, replay, self.again.clone()),
            None => HedgeFuture::once(first),
        }
    }
}

impl Settings {
    /// A call begins: whether it may be hedged.
    fn begin(&self, cx: &crate::Context) -> bool {
        if cx.is_one_way() {
            return false;
        }
        if cx.attempt() == 0 && !self.is_budget_shared {
            self.budget.deposit();
        }
        let is_never = cx.hedge_delay() == Some(Duration::MAX);
        self.hedges > 0 && !is_never && self.idempotent.covers(cx)
    }
}

impl Delay {
    fn now(&self) -> Duration {
        match self {
            Self::Fixed(delay) => *delay,
            Self::Learned { latencies, first } => latencies.percentile().unwrap_or(*first),
        }
    }
}

impl<S: Clone> Clone for Hedge<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.again.settings.clone())
    }
}

impl<S: fmt::Debug> fmt::Debug for Hedge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("inner", &self.inner)
            .field("settings", &self.again.settings)
            .finish()
    }
}
