//! Calls that fail on purpose.
//!
//! [`FaultLayer`] is for tests and for exercises in production: it delays calls, fails them, loses them, their
//! answers or their connection, and runs idempotent ones more than once, to find those that are not. What happens
//! to which call follows from a seed, as long as the calls come in the same order.
//!
//! ```
//! use std::time::Duration;
//! use steeple_layers::{Error, FaultLayer, Kind};
//!
//! let layer = FaultLayer::new(42)
//!     .delay(0.1, Duration::from_millis(50))
//!     .fail(0.01, || Error::new(Kind::Unavailable, "on purpose"))
//!     .lose_answer(0.01)
//!     .repeat(1);
//! # let _ = layer;
//! ```
//!
//! It is for finding faults and not for speed: every call makes an allocation.

mod plan;

use std::{
    fmt,
    future::{Future, pending, poll_fn},
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::sleep;
use tower_layer::Layer;
use tower_service::Service;

use self::plan::{Fate, Faults, Plan};
use crate::{
    AsError, Error, Execution, Kind, Method, Origin, Replay,
    explain::{Explain, Explanation},
    idempotent::Idempotent,
};

/// Makes some calls go wrong, at random.
///
/// Shares are from 0, never, to 1, always. Clones and the services made by them share one source of chance.
#[derive(Clone, Debug)]
pub struct FaultLayer {
    faults: Faults,
    idempotent: Idempotent,
    rng: Arc<Mutex<Rng>>,
    close: Close,
}

/// What ends a connection, if there is such a thing.
#[derive(Clone, Default)]
struct Close(Option<Arc<dyn Fn() + Send + Sync>>);

impl FaultLayer {
    /// No faults yet; those that are added follow from this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            faults: Faults::default(),
            idempotent: Idempotent::default(),
            rng: Arc::new(Mutex::new(Rng::with_seed(seed))),
            close: Close::default(),
        }
    }

    /// Delays this share of the calls for so long before they are made.
    #[must_use]
    pub fn delay(mut self, share: f64, delay: Duration) -> Self {
        self.faults.delay = (share, delay);
        self
    }

    /// Fails this share of the calls, which are not made.
    #[must_use]
    pub fn fail(mut self, share: f64, error: fn() -> Error) -> Self {
        self.faults.fail = (share, error);
        self
    }

    /// Loses this share of the calls: they are not made, and have no answer ever.
    #[must_use]
    pub fn lose_call(mut self, share: f64) -> Self {
        self.faults.lose_call = share;
        self
    }

    /// Loses the answer of this share of the calls, as a connection does that breaks:
    /// [`Kind::Connection`], and they may have been executed.
    #[must_use]
    pub fn lose_answer(mut self, share: f64) -> Self {
        self.faults.lose_answer = share;
        self
    }

    /// Ends the connection below by `close` when this share of the calls has been made, each of which fails with all
    /// others that are under way there. A layer knows no connection, so this is for one over a connection of its own:
    ///
    /// ```
    /// use steeple_layers::{FaultLayer, Lifecycle, fault::Fault};
    /// use tower_layer::Layer;
    ///
    /// /// What `Replicas::builder(…).layer(…)` puts on each replica.
    /// fn brittle<C: Lifecycle + Clone>(connection: C) -> Fault<C> {
    ///     let closed = connection.clone();
    ///     FaultLayer::new(42).disconnect(0.001, move || closed.close()).layer(connection)
    /// }
    /// ```
    #[must_use]
    pub fn disconnect(mut self, share: f64, close: impl Fn() + Send + Sync + 'static) -> Self {
        self.faults.disconnect = share;
        self.close = Close(Some(Arc::new(close)));
        self
    }

    /// Makes every idempotent call that succeeds this many times more, one after another; its answer is the
    /// last one.
    #[must_use]
    pub fn repeat(mut self, times: u32) -> Self {
        self.faults.repeat = times;
        self
    }

    /// The methods whose calls are idempotent, as retries have them, besides the calls that say so of themselves.
    /// Default: none.
    #[must_use]
    pub fn idempotent<M: Into<Method>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.idempotent = Idempotent::new(methods);
        self
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = Fault<S>;

    fn layer(&self, inner: S) -> Fault<S> {
        Fault {
            inner,
            faults: self.faults,
            idempotent: self.idempotent.clone(),
            rng: self.rng.clone(),
            close: self.close.clone(),
        }
    }
}

/// See [`FaultLayer`].
#[derive(Clone, Debug)]
pub struct Fault<S> {
    inner: S,
    faults: Faults,
    idempotent: Idempotent,
    rng: Arc<Mutex<Rng>>,
    close: Close,
}

impl<S, R> Service<R> for Fault<S>
where
    R: Replay + Send + 'static,
    S: Service<R> + Clone + Send + 'static,
    S::Response: Send,
    S::Error: From<Error> + AsError + Send,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FaultFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let plan = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let may_repeat = self.idempotent.covers(request.cx());
            self.faults.plan(&mut rng, may_repeat)
        };
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        let close = self.close.clone();
        FaultFuture(Box::pin(run(plan, ready, request, close)))
    }
}

impl<S: Explain> Explain for Fault<S> {
    fn explain(&self, out: &mut Explanation) {
        let faults = &self.faults;
        let part = out.part("Fault");
        let shares = [
            (faults.delay.0, "delayed"),
            (faults.fail.0, "failed"),
            (faults.lose_call, "lost"),
            (faults.lose_answer, "left without their answers"),
            (faults.disconnect, "disconnected"),
        ];
        for (share, what) in shares.into_iter().filter(|(share, _)| *share > 0.0) {
            part.setting(format_args!("{} % {what}", share * 100.0));
        }
        if faults.repeat > 0 {
            part.setting(format_args!("repeated {} times", faults.repeat));
            self.idempotent.explain(part);
        }
        self.inner.explain(out);
    }
}

/// The answer of a [`Fault`]. Dropping it cancels the call.
#[must_use = "futures do nothing unless polled"]
pub struct FaultFuture<T, E>(Pin<Box<dyn Future<Output = Result<T, E>> + Send>>);

impl<T, E> Future for FaultFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<T, E> fmt::Debug for FaultFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultFuture").finish_non_exhaustive()
    }
}

/// Makes a call, by a service that is ready, as was planned for it.
async fn run<S, R>(
    plan: Plan,
    mut service: S,
    mut request: R,
    close: Close,
) -> Result<S::Response, S::Error>
where
    R: Replay,
    S: Service<R>,
    S::Error: From<Error>,
{
    if !plan.delay.is_zero() {
        sleep(plan.delay).await;
    }
    match plan.fate {
        Fate::Answer | Fate::Disconnect | Fate::LoseAnswer => {}
        Fate::Fail(error) => return Err(error().into()),
        Fate::LoseCall => {
            drop(service);
            return pending().await;
        }
    }
    for _ in 0..plan.repeat {
        let Some(copy) = request.replay() else { break };
        service.call(mem::replace(&mut request, copy)).await?;
        poll_fn(|cx| service.poll_ready(cx)).await?;
    }
    let answer = service.call(request);
    if let (Fate::Disconnect, Some(close)) = (plan.fate, close.0) {
        close();
    }
    let response = answer.await?;
    match plan.fate {
        Fate::LoseAnswer => Err(lost().into()),
        _ => Ok(response),
    }
}

impl fmt::Debug for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Close").field(&self.0.is_some()).finish()
    }
}

fn lost() -> Error {
    Error::new(Kind::Connection, "the answer was lost on purpose")
        .with_origin(Origin::Transport)
        .with_execution(Execution::MaybeExecuted)
}
