//! The default stack.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use steeple_layers::{
    BalanceLayer, Carry, LogLayer, Replicas, RetryLayer, RetryPolicy, TimeoutLayer,
    balance::{Balance, PeakEwma},
    explain::{Explain, Explanation},
    inherit,
    log::Log,
    retry::Retry,
    timeout::Timeout,
};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder};
use tower_service::Service;

use super::{Channel, Client, census::Census};
use crate::{
    Body, Error, Request, Response, Stats,
    layers::{PeerAndSizes, PropagateTraceLayer, trace::PropagateTrace},
};

/// What [`Client::connect`](crate::Client) puts together: the paved road, of which more may come without another name.
///
/// From the outside in:
///
/// 1. a [line in the log](steeple_layers::log) for every call, when it ends;
/// 2. the [trace](crate::layers::trace) of the handler that makes the call, if it belongs to one: a call outside of all
///    traces begins none;
/// 3. a [deadline](steeple_layers::timeout) for calls that have none, 20 s unless
///    [set](super::ClientBuilder::timeout);
/// 4. [retries](steeple_layers::retry) of what is safe and useful, at another replica, within a budget;
/// 5. a [replica](steeple_layers::balance) for each attempt, the better of two by latency and pending calls;
/// 6. the [replicas](steeple_layers::replicas), each connected as long as the client is there, and dialled again with
///    a backoff from 10 ms to 1 s. A call that finds none connected waits until its deadline, or with
///    [`fail_fast`](super::Call::fail_fast) until the last dial of each has failed.
///
/// It is always ready: a call waits by itself. To change more than a [builder](super::ClientBuilder) offers, build
/// [the same stack by hand](super#the-stack-by-hand).
#[derive(Clone)]
pub struct DefaultStack {
    layers: Layers,
    common: Arc<Common>,
}

/// What all clones of a stack share, beside what its layers do: a clone is small, as there may be thousands.
struct Common {
    /// For what is more than a call.
    balance: Balance<Channel>,
    census: Census,
    settings: Settings,
}

pin_project! {
    /// The answer to a call of the [`DefaultStack`]. Dropping it cancels the call.
    #[derive(Debug)]
    #[must_use = "dropping the answer cancels the call"]
    pub struct DefaultFuture {
        #[pin]
        answer: <Layers as Service<Request<Body>>>::Future,
    }
}

/// What can be set of the stack.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) timeout: Option<Duration>,
    pub(super) fail_fast: bool,
    pub(super) retry: RetryPolicy,
}

type Layers = Log<PropagateTrace<Timeout<Retry<Balance<Channel>>>>, PeerAndSizes>;

/// The layers of the default stack, from the outside in.
fn layers(balance: Balance<Channel>, settings: &Settings) -> Layers {
    // A call without a deadline is given one. All that waits below ends then by itself, so no timer is needed here.
    let timeout = match settings.timeout {
        Some(timeout) => TimeoutLayer::new(timeout),
        None => TimeoutLayer::without_default(),
    };
    ServiceBuilder::new()
        // Outermost, so that it tells of calls and not of attempts, with all the time they took.
        .layer(LogLayer::new().describe(PeerAndSizes))
        // A call that a handler makes goes on with the handler's trace; where there is none this is a look at a
        // thread's variable. Outside of the retries: all attempts are one span. It begins no traces, since who
        // traces nothing would pay for them in every call: add a layer that does.
        .layer(trace())
        // Outside of the retries: one deadline for all attempts and the waits between them.
        .layer(timeout.kept_below())
        // Outside of the balancer: each attempt goes to a replica of its own.
        .layer(RetryLayer::new(settings.retry.clone()))
        // Innermost, the replica of each attempt: `BalanceLayer::new(PeakEwma::default()).layer(replicas)`. Any
        // other picker, and any other layer over replicas, fits here.
        .service(balance)
}

/// What makes a call part of its caller's trace, if there is one.
fn trace() -> PropagateTraceLayer {
    PropagateTraceLayer::new().begin(false)
}

impl Settings {
    /// Puts the default stack together over a set of replicas, whose connections are counted in `census`; `several`,
    /// if there may be more than one.
    pub(super) fn stack(
        mut self,
        replicas: Replicas<Channel>,
        census: Census,
        several: bool,
    ) -> DefaultStack {
        // A call that found the queue of one connection full is worth another try where there is another.
        self.retry = self.retry.elsewhere(several);
        let balance = BalanceLayer::new(PeakEwma::default())
            .fail_fast(self.fail_fast)
            .layer(replicas);
        DefaultStack {
            layers: layers(balance.clone(), &self),
            common: Arc::new(Common {
                balance,
                census,
                settings: self,
            }),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Some(TimeoutLayer::DEFAULT),
            fail_fast: false,
            retry: RetryPolicy::default(),
        }
    }
}

impl DefaultStack {
    /// The replicas below: their state and why, at any time, and each to be called by itself.
    pub fn replicas(&self) -> &Replicas<Channel> {
        self.common.balance.replicas()
    }

    /// What all its connections have counted, those that are over too, and its [`dials`](Stats::dials); of all clones
    /// together. It counts what went over connections: a call that was tried again counts again, and one that found no
    /// replica does not. Connections that another made are not counted here, but by their
    /// [`Connector`](super::Connector::stats): those of [replicas made by hand](super::ClientBuilder::replicas).
    pub fn stats(&self) -> Stats {
        self.common.census.stats()
    }

    /// Gives the requests of a batch what calls have, and returns by what a connection is chosen for all of them.
    pub(super) fn prepare(&self, requests: &mut [Request<Body>]) -> steeple_layers::Context {
        let settings = &self.common.settings;
        // One look at the clock for all of them.
        let timeout = settings.timeout;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let inherited = inherit::deadline();
        let trace = trace();
        for request in &mut *requests {
            trace.mark(request);
            let cx = request.cx_mut();
            if cx.deadline().is_none() {
                cx.set_deadline(deadline);
            }
            if let Some(inherited) = inherited.filter(|_| !cx.is_independent()) {
                cx.limit_deadline(inherited);
            }
        }
        let mut contexts = requests.iter().map(Carry::cx);
        let fail_fast = contexts
            .clone()
            .any(|cx| cx.fail_fast().unwrap_or(settings.fail_fast));
        // The last one: a call that is in more of a hurry than the others fails alone.
        let deadline = contexts.try_fold(None, |last, cx| Some(last.max(Some(cx.deadline()?))));
        let mut cx = steeple_layers::Context::default();
        cx.set_deadline(deadline.flatten())
            .set_fail_fast(fail_fast)
            .set_seed(fastrand::u32(1..));
        cx
    }

    /// The connection for a whole batch.
    pub(super) async fn channel(&self, cx: &steeple_layers::Context) -> Result<Channel, Error> {
        let mut balance = self.common.balance.clone();
        Ok(balance.choose(cx).await?.connection())
    }
}

impl<C> Client<DefaultStack, C> {
    /// What all connections of this client and its clones have counted, as [`DefaultStack::stats`].
    pub fn stats(&self) -> Stats {
        self.service.stats()
    }

    /// Ends all connections in order, and makes no other: calls under way end, later ones fail before they begin,
    /// with [`Kind::Closed`](crate::Kind::Closed). For all clones. It is begun when this returns, whether or not the
    /// future is polled, which is ready when all connections are over.
    pub fn drain(&self) -> impl Future<Output = ()> {
        self.service.replicas().drain()
    }

    /// Ends all connections at once, and makes no other: calls under way fail, and later ones before they begin,
    /// with [`Kind::Closed`](crate::Kind::Closed). For all clones; to be repeated without effect.
    pub fn close(&self) {
        drop(self.service.replicas().close());
    }
}

impl Service<Request<Body>> for DefaultStack {
    type Response = Response<Body>;
    type Error = Error;
    type Future = DefaultFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.layers.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> DefaultFuture {
        if self.common.settings.fail_fast && request.cx().fail_fast().is_none() {
            // For the retries too, and not only for the balancer.
            request.cx_mut().set_fail_fast(true);
        }
        DefaultFuture {
            answer: self.layers.call(request),
        }
    }
}

impl Explain for DefaultStack {
    fn explain(&self, out: &mut Explanation) {
        self.layers.explain(out);
    }
}

impl Future for DefaultFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().answer.poll(cx)
    }
}

impl fmt::Debug for DefaultStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultStack")
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A future is moved until it is first polled, and compilers copy so much without a loop.
    #[test]
    fn a_call_is_four_cache_lines_until_something_rare_happens() {
        assert!(size_of::<DefaultFuture>() <= 256);
    }
}
