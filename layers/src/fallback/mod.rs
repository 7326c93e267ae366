//! What is answered when a service cannot.
//!
//! Yesterday's prices, an empty list, a cache, a server in another region: often better than an error.
//!
//! | [`FallbackLayer`] | the answer comes from | for |
//! |---|---|---|
//! | [`with`](FallbackLayer::with) | a function of the call's context and the error | any call |
//! | [`service`](FallbackLayer::service) | another service | calls that can be [replayed](crate::Replay), where no handler has run or the call may run twice |
//!
//! ```
//! use steeple_layers::{Error, FallbackLayer, Kind, RetryLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! # use steeple_layers::{Carry, Context};
//! # struct Request(Context);
//! # impl Carry for Request {
//! #     fn cx(&self) -> &Context { &self.0 }
//! #     fn cx_mut(&mut self) -> &mut Context { &mut self.0 }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut prices = ServiceBuilder::new()
//!     // Outside of retries, so that it is the last resort.
//!     .layer(FallbackLayer::with(|cx, _error| {
//!         (cx.method() == "Prices.Today").then(|| "the prices of yesterday")
//!     }))
//!     .service(service_fn(async |_: Request| {
//!         Err::<&str, _>(Error::new(Kind::Unreachable, "nobody there"))
//!     }));
//! let answer = prices.call(Request(Context::new("Prices.Today"))).await;
//! assert_eq!(answer.unwrap(), "the prices of yesterday");
//! # }
//! ```
//!
//! Unless [told otherwise](FallbackLayer::when), it takes the place of a server that is not there, not in time, or has
//! too much to do: of the kinds connection, overflow, timeout, unavailable and unreachable. All else is an
//! answer, or a defect that should be seen.
//!
//! A call whose deadline has passed has none left for another service: give the first a part of the time, by a
//! [`TimeoutLayer::per_attempt`](crate::TimeoutLayer::per_attempt) inside of this layer.

mod function;
mod other;

use std::{fmt, sync::Arc};

use tower_layer::Layer;

pub use self::{
    function::{FallbackFuture, Function},
    other::{Other, OtherFuture},
};
use crate::{
    AsError, Context, Error, Kind, Method,
    explain::{Explain, Explanation},
    idempotent::Idempotent,
};

/// Answers in place of a service that fails.
#[derive(Clone, Debug)]
pub struct FallbackLayer<A> {
    instead: Instead<A>,
}

#[derive(Clone)]
struct Instead<A> {
    answer: A,
    /// Which errors are answered.
    when: Arc<dyn Fn(&Error) -> bool + Send + Sync>,
}

impl<F> FallbackLayer<Function<F>> {
    /// Answers with what `answer` makes of the call's context and the error; where that is `None`, the error
    /// stands.
    pub fn with<T>(answer: F) -> Self
    where
        F: Fn(&Context, &Error) -> Option<T>,
    {
        Self::new(Function(answer))
    }
}

impl<S: Clone> FallbackLayer<Other<S>> {
    /// Sends the call to another service, which is made ready within the call.
    ///
    /// If that fails too, the error is that of the two which got further, or the later.
    pub fn service(service: S) -> Self {
        Self::new(Other::new(&service))
    }

    /// The methods that may run twice, in place of those named before: the other service is sent calls of these although
    /// the first may have executed them. Default: none but what calls [say of
    /// themselves](Context::set_idempotent).
    #[must_use]
    pub fn idempotent<M: Into<Method>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.instead.answer.idempotent = Idempotent::new(methods);
        self
    }
}

impl<A> FallbackLayer<A> {
    fn new(answer: A) -> Self {
        Self {
            instead: Instead {
                answer,
                when: Arc::new(is_absence),
            },
        }
    }

    /// Which errors are answered, in place of the usual ones.
    #[must_use]
    pub fn when(mut self, when: impl Fn(&Error) -> bool + Send + Sync + 'static) -> Self {
        self.instead.when = Arc::new(when);
        self
    }
}

impl<S, A: Clone> Layer<S> for FallbackLayer<A> {
    type Service = Fallback<S, A>;

    fn layer(&self, inner: S) -> Fallback<S, A> {
        Fallback {
            inner,
            instead: Arc::new(self.instead.clone()),
        }
    }
}

/// See [`FallbackLayer`].
#[derive(Debug)]
pub struct Fallback<S, A> {
    inner: S,
    /// Each clone has its own, which keeps the calls of different tasks off each other's cache lines.
    instead: Arc<Instead<A>>,
}

impl<S: Explain, A> Explain for Fallback<S, A> {
    fn explain(&self, out: &mut Explanation) {
        out.part("Fallback");
        self.inner.explain(out);
    }
}

impl<A> Instead<A> {
    /// The error, if it is one that is answered.
    fn covers<'a>(&self, error: &'a impl AsError) -> Option<&'a Error> {
        error.as_error().filter(|error| (self.when)(error))
    }
}

impl<S: Clone, A: Clone> Clone for Fallback<S, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            instead: Arc::new(Instead::clone(&self.instead)),
        }
    }
}

/// Whether a server was not there, or not in time, or has too much to do.
fn is_absence(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Connection | Kind::Overflow | Kind::Timeout | Kind::Unavailable | Kind::Unreachable
    )
}

impl<A: fmt::Debug> fmt::Debug for Instead<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer.fmt(f)
    }
}
