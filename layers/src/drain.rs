//! No new calls, and the end of those under way.
//!
//! A [`DrainLayer`] goes around any service and is its own handle: once [`drain`](DrainLayer::drain) is called on a
//! clone of it, calls are refused, and the future that it returns is ready when those that had begun have ended. A
//! server can [drain its connections](https://docs.rs/steeple) by itself; this is for a part of one, such as the
//! methods of a tenant or of a store that goes away, or for a client.
//!
//! ```
//! use steeple_layers::{DrainLayer, Error, Execution, Kind};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let drain = DrainLayer::new();
//! let mut service = ServiceBuilder::new()
//!     .layer(drain.clone())
//!     .service(service_fn(async |call: &'static str| Ok::<_, Error>(call)));
//!
//! let running = service.ready().await.unwrap().call("one");
//! let drained = drain.drain();
//! let error = service.ready().await.unwrap().call("two").await.unwrap_err();
//! assert_eq!((error.kind(), error.execution()), (Kind::Unavailable, Execution::NotStarted));
//!
//! assert_eq!(running.await.unwrap(), "one");
//! drained.await;
//! # }
//! ```

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire},
    },
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    AsError, Error, Execution, Kind,
    decided::{Decided, Pass},
    explain::{Explain, Explanation},
};

/// Refuses calls from a certain moment on, and tells when the others have ended. All clones, and all services they
/// were put around, drain together, once and for good.
///
/// Calls are refused with [`Kind::Unavailable`], not started: a caller may try them elsewhere.
#[derive(Clone, Debug, Default)]
pub struct DrainLayer {
    calls: Arc<Calls>,
}

/// Those under way.
#[derive(Debug, Default)]
struct Calls {
    /// Whether no more begin, and above that bit their number.
    word: AtomicUsize,
    /// Rings when the last one has ended.
    ended: Notify,
}

const DRAINING: usize = 1;
const CALL: usize = 2;

impl DrainLayer {
    /// Lets all calls through, so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses calls from here on. It is begun when this returns, whether or not the future is polled, which is
    /// ready when the calls that had begun have ended: were answered, failed, or were dropped. It may be repeated.
    pub fn drain(&self) -> impl Future<Output = ()> + Send + use<> {
        let before = self.calls.word.fetch_or(DRAINING, AcqRel);
        if before == 0 {
            self.calls.ended.notify_waiters();
        }
        self.drained()
    }

    /// Waits for a drain that somebody begins, and for the calls that have begun before it.
    pub fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        let calls = self.calls.clone();
        async move {
            loop {
                let mut ended = pin!(calls.ended.notified());
                // Before the look, so that no end falls between the two.
                ended.as_mut().enable();
                if calls.word.load(Acquire) == DRAINING {
                    return;
                }
                ended.await;
            }
        }
    }

    /// Whether calls are refused.
    pub fn is_draining(&self) -> bool {
        self.calls.are_draining()
    }

    /// How many calls are under way.
    pub fn running(&self) -> usize {
        self.calls.word.load(Acquire) / CALL
    }
}

impl<S> Layer<S> for DrainLayer {
    type Service = Drain<S>;

    fn layer(&self, inner: S) -> Drain<S> {
        Drain {
            inner,
            calls: self.calls.clone(),
        }
    }
}

/// See [`DrainLayer`]. While it drains it is ready, to refuse.
#[derive(Clone, Debug)]
pub struct Drain<S> {
    inner: S,
    calls: Arc<Calls>,
}

impl<S, R> Service<R> for Drain<S>
where
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = DrainFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.calls.are_draining() {
            true => Poll::Ready(Ok(())),
            false => self.inner.poll_ready(cx),
        }
    }

    fn call(&mut self, request: R) -> DrainFuture<S::Future> {
        let decided = match self.calls.enter() {
            Some(running) => Decided::called(self.inner.call(request), running),
            None => Decided::refused_by(&mut self.inner, refused()),
        };
        DrainFuture { decided }
    }
}

impl<S: Explain> Explain for Drain<S> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("Drain");
        if self.calls.are_draining() {
            part.setting("draining");
        }
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of a [`Drain`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct DrainFuture<F> {
        #[pin]
        decided: Decided<F, Running>,
    }
}

impl<F, T, E> Future for DrainFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Error> + AsError,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().decided.poll(cx)
    }
}

/// Counts a call until it is dropped.
#[derive(Debug)]
struct Running(Arc<Calls>);

impl Pass for Running {}

impl Calls {
    fn are_draining(&self) -> bool {
        self.word.load(Acquire) & DRAINING != 0
    }

    fn enter(self: &Arc<Self>) -> Option<Running> {
        let entered = |word: usize| (word & DRAINING == 0).then_some(word + CALL);
        let before = self.word.fetch_update(AcqRel, Acquire, entered);
        before.ok().map(|_| Running(self.clone()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.word.fetch_sub(CALL, AcqRel) == CALL | DRAINING {
            self.0.ended.notify_waiters();
        }
    }
}

fn refused() -> Error {
    Error::new(Kind::Unavailable, "this service drains").with_execution(Execution::NotStarted)
}
