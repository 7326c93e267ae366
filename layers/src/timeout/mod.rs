//! Calls end in time.
//!
//! [`TimeoutLayer`] gives a call a deadline and sees that it is kept. The deadline is written into the
//! [`Context`](crate::Context), so it travels: a connection sends it as the time that remains, and the server
//! gives up when the caller has.
//!
//! | what | counts from | set by |
//! |---|---|---|
//! | the caller's own deadline | what the caller chose | [`Context::set_timeout`](crate::Context::set_timeout) |
//! | the default, for a call without its own | the start of the call | [`TimeoutLayer::new`] |
//! | the cap, which no call exceeds | the start of the call | [`TimeoutLayer::cap`] |
//! | the limit of one attempt | the arrival at this layer | [`TimeoutLayer::per_attempt`] |
//! | the deadline of the handler that makes the call | | [`inherit`] |
//!
//! The first two choose, the other three bring forward what was chosen. The layer for attempts stands inside
//! of one that retries; the one for calls, outside of it:
//!
//! ```
//! use std::time::Duration;
//! use steeple_layers::{RetryLayer, TimeoutLayer};
//! use tower::ServiceBuilder;
//!
//! let layers = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_secs(20)).cap(Duration::from_secs(60)))
//!     .layer(RetryLayer::default())
//!     .layer(TimeoutLayer::per_attempt(Duration::from_secs(2)));
//! # let _ = layers;
//! ```
//!
//! A call whose deadline has passed when it arrives is refused and reaches no service. Any other that runs out
//! of time is dropped, which cancels it, and fails with [`Kind::Timeout`](crate::Kind::Timeout); it may have
//! been executed. A connection below keeps deadlines too, and knows better whether a call was sent, so this
//! layer lets it go first: it waits 4 ms longer.
//!
//! A call that is ready at its first poll costs no timer, and any other one from a pool that is armed already. Over
//! services that keep deadlines themselves, [`TimeoutLayer::kept_below`] saves that too.

mod future;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

pub use self::future::TimeoutFuture;
use crate::{
    AsError, Carry, Error,
    explain::{Explain, Explanation, Role},
    inherit,
    moment::Moment,
};

/// Gives calls a deadline, and ends those that pass it.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limits: Limits,
}

#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    default: Option<Duration>,
    cap: Option<Duration>,
    attempt: Option<Duration>,
    /// Whether the services below end calls in time by themselves.
    kept_below: bool,
}

impl TimeoutLayer {
    /// The deadline of a call that sets none, unless this layer says otherwise: 20 seconds.
    pub const DEFAULT: Duration = Duration::from_secs(20);

    /// Gives a call without a deadline this long from its start. Its caller may set a shorter one or a longer.
    pub fn new(default: Duration) -> Self {
        Self {
            limits: Limits {
                default: Some(default),
                ..Limits::default()
            },
        }
    }

    /// Gives no call a deadline: keeps those that are set, and inherited.
    pub fn without_default() -> Self {
        Self {
            limits: Limits::default(),
        }
    }

    /// Gives every attempt this long, from its arrival at this layer, but no longer than the call has left.
    ///
    /// It stands inside of a layer that retries. Every attempt reads the clock.
    pub fn per_attempt(limit: Duration) -> Self {
        Self {
            limits: Limits {
                attempt: Some(limit),
                ..Limits::default()
            },
        }
    }

    /// Lets no call last longer than this from its start, whatever its caller has set.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.limits.cap = Some(cap);
        self
    }

    /// Writes deadlines and leaves it to the services below to keep them, which saves the timer.
    ///
    /// Honest where everything below that waits ends at the deadline, as a steeple connection, a
    /// [balanced set](crate::balance::Balance) of them and [retries](crate::RetryLayer) do. Over any other
    /// service a call may outlast its deadline.
    #[must_use]
    pub fn kept_below(mut self) -> Self {
        self.limits.kept_below = true;
        self
    }
}

/// [`DEFAULT`](Self::DEFAULT), without a cap.
impl Default for TimeoutLayer {
    fn default() -> Self {
        Self::new(Self::DEFAULT)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout {
            inner,
            limits: Arc::new(self.limits),
        }
    }
}

/// See [`TimeoutLayer`].
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    /// Shared, as they are large: of thousands of clones each line of memory counts.
    limits: Arc<Limits>,
}

impl<S, R> Service<R> for Timeout<S>
where
    R: Carry,
    S: Service<R>,
    S::Error: From<Error> + AsError,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: R) -> TimeoutFuture<S::Future> {
        let cx = request.cx_mut();
        let now = self.limits.apply(cx);
        let deadline = cx.deadline_moment();
        if deadline != Moment::NONE && deadline <= now {
            return TimeoutFuture::late();
        }
        let guarded = match self.limits.kept_below {
            true => Moment::NONE,
            false => deadline,
        };
        TimeoutFuture::new(self.inner.call(request), guarded, now)
    }
}

impl<S: Explain> Explain for Timeout<S> {
    fn explain(&self, out: &mut Explanation) {
        let limits = &self.limits;
        let part = out.part("Timeout").role(Role::ObeysPolicies);
        if let Some(default) = limits.default {
            part.setting(format_args!("{default:?} unless the call says"));
        }
        if let Some(cap) = limits.cap {
            part.setting(format_args!("{cap:?} at most"));
        }
        if let Some(attempt) = limits.attempt {
            part.setting(format_args!("{attempt:?} for each attempt"));
        }
        if limits.kept_below {
            part.setting("kept by what is inside");
        }
        part.role(match limits.attempt {
            Some(_) => Role::AttemptTime,
            None => Role::CallTime,
        });
        self.inner.explain(out);
    }
}

impl Limits {
    /// Writes the deadline of a call, and returns the time, as old as the call at most.
    #[inline]
    fn apply(&self, cx: &mut crate::Context) -> Moment {
        let start = cx.start_moment();
        if let (Moment::NONE, Some(default)) = (cx.deadline_moment(), self.default) {
            cx.set_timeout(default);
        }
        if let Some(cap) = self.cap {
            limit(cx, start, cap);
        }
        if !cx.is_independent()
            && let deadline = inherit::deadline_moment()
            && deadline != Moment::NONE
        {
            cx.limit_to(deadline);
        }
        let Some(attempt) = self.attempt else {
            return start;
        };
        let now = Moment::now();
        limit(cx, now, attempt);
        now
    }
}

/// A limit beyond what the clock can represent is none.
fn limit(cx: &mut crate::Context, from: Moment, limit: Duration) {
    if let Some(deadline) = from.after(limit) {
        cx.limit_to(deadline);
    }
}
