//! A server that has more to do than it can does what it can.
//!
//! A queue in front of handlers that cannot keep up grows until every call in it is too old to be of use: the server
//! works as hard as it can, and all of it is in vain. [`AdmissionLayer`] goes around the service of a server, lets a
//! [limited](Limit) number of calls run at once, and lets few others wait, and not for long:
//!
//! | | calm | overload |
//! |---|---|---|
//! | is when | | the longest wait was above 5 ms throughout 100 ms, until in 100 ms more calls find a free place than are shed |
//! | who is served next | the oldest | the newest: whoever waits for the oldest has nearly given up |
//! | how many wait | 1024 | a quarter of the limit, at least one |
//! | how long | until the deadline is near | 5 ms; the last one stays |
//! | one too many | is refused, and so is who would still wait when those 100 ms are over | is taken, and the oldest is refused |
//!
//! A higher [`Priority`] goes before all that, and is shed last. Whoever is refused is told so at once, that no
//! handler has run ([`NotStarted`](crate::Execution::NotStarted)), and so may try elsewhere:
//!
//! | refused since | kind | comes back |
//! |---|---|---|
//! | too many wait, or it has waited for too long or would | overflow | after 100 ms |
//! | those before it take longer than it has time | overflow | at once: another server may have time |
//! | its deadline had passed when it came | timeout | |
//! | its deadline came near while it waited: 2 ms before, so that the answer is there in time | timeout | |
//!
//! A layer is one queue: all that is made of it and its clones, and so all connections of a server, share it.
//!
//! ```
//! use std::time::Duration;
//! use steeple_layers::{
//!     AdmissionLayer, Carry, Context, Error,
//!     admission::{Limit, Priority},
//! };
//! use tower::{Service, ServiceBuilder, service_fn};
//!
//! # struct Request(Context);
//! # impl Carry for Request {
//! #     fn cx(&self) -> &Context { &self.0 }
//! #     fn cx_mut(&mut self) -> &mut Context { &mut self.0 }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // What the database behind the handlers can do at once.
//! let admission = AdmissionLayer::new(Limit::fixed(32))
//!     .max_waiting(256)
//!     .priority(|request: &Request| match request.cx().method().as_str() {
//!         "Health" | "Login" => Priority::Critical,
//!         "Report" => Priority::Background,
//!         _ => Priority::Normal,
//!     });
//! let mut service = ServiceBuilder::new()
//!     .layer(admission.clone())
//!     .service(service_fn(|_: Request| async { Ok::<_, Error>("served") }));
//! assert_eq!(service.call(Request(Context::new("Get"))).await?, "served");
//! assert_eq!(admission.stats().admitted, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Where it stands
//!
//! On a server, directly around the handlers: what a log or a deadline outside of it sees includes the refusals. It is
//! always as ready as the service that it is around, so nothing waits for it before it was decoded: a connection goes on
//! reading, and a call that waits is one of its handlers. A limit of those has to be higher than this one and
//! `max_waiting` together. A call that waits keeps what the readiness inside of it holds, so there should be no other limit
//! inside.
//!
//! A handler that calls its own server holds a place while it waits for another: with many of those the limit has
//! to be higher than their number, or all wait for each other until they are shed.
//!
//! # How soon a refusal is known
//!
//! Who is refused on arrival knows it at once. Under overload a call may be taken, and be refused for newer ones: it has
//! waited for them, at most for the target. The example `overload` measures it on loopback, with 8 workers of 1 to 2 ms,
//! calls that come together once in a millisecond, and client and server on the same two cores. At 2, 5 and 10 times what
//! the workers can do, at least 98 % of that was done, and those that were refused knew it:
//!
//! | | half of them | 99 of a hundred |
//! |---|---|---|
//! | after they had called | in 0.1 to 0.2 ms | in 1.4, 1.3 and 0.6 ms |
//! | after they were refused, of that | in 0.02 to 0.05 ms | in 0.1 to 0.2 ms |
//!
//! # Handlers that take long
//!
//! The target is meant for handlers that take milliseconds. Where one takes a second, a wait of 5 ms is no sign of
//! anything: set the [target](AdmissionLayer::target) to about what a handler takes, and the
//! [interval](AdmissionLayer::interval) to some ten times that.

mod future;
mod gate;
mod limit;
mod overload;
mod pace;
mod priority;
mod queue;
mod stats;

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

use self::gate::{Admitted, Gate, Settings};
pub use self::{
    future::AdmissionFuture,
    limit::Limit,
    priority::{ByContext, Prioritize, Priority},
    stats::Stats,
};
use crate::{
    AsError, Carry, Error,
    explain::{Explain, Explanation, Role},
};

/// Lets as many calls run as can, and few others wait. Clones share one queue.
#[derive(Clone, Debug)]
pub struct AdmissionLayer<P = ByContext> {
    settings: Settings,
    gate: Arc<Gate>,
    priority: P,
}

impl AdmissionLayer {
    /// How many calls may wait unless this layer says otherwise, 1024: some 100 ms for a server that serves ten
    /// thousand a second, and little memory.
    pub const MAX_WAITING: usize = 1024;

    /// How long a call may wait without a sign of overload unless this layer says otherwise, 5 ms.
    pub const TARGET: Duration = Duration::from_millis(5);

    /// For how long all have to wait longer before it is an overload unless this layer says otherwise, 100 ms.
    pub const INTERVAL: Duration = Duration::from_millis(100);

    /// So many calls run at once, with the defaults above.
    pub fn new(limit: Limit) -> Self {
        let settings = Settings {
            limit,
            max_waiting: Self::MAX_WAITING,
            target: Self::TARGET,
            interval: Self::INTERVAL,
        };
        Self {
            gate: Gate::new(&settings),
            settings,
            priority: ByContext,
        }
    }
}

impl<P> AdmissionLayer<P> {
    /// How many calls may wait. With 0, whatever cannot run at once is refused.
    ///
    /// The memory that they take is bounded by this and by the largest message. This and the settings below make a new
    /// queue: they are for the beginning.
    #[must_use]
    pub fn max_waiting(self, calls: usize) -> Self {
        self.set(|settings| settings.max_waiting = calls)
    }

    /// How long calls may wait in an overload, and without a sign of one otherwise: CoDel's target.
    #[must_use]
    pub fn target(self, target: Duration) -> Self {
        self.set(|settings| settings.target = target)
    }

    /// For how long the longest wait has to be above the target before that is an overload: CoDel's interval. It is
    /// also after what time those that were shed are asked to come back.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        self.set(|settings| settings.interval = interval)
    }

    /// What each call is worth: a closure from `&Request` to [`Priority`]. Unless set, its context
    /// [says so](crate::Context::priority).
    ///
    /// The layers before and after share the queue.
    #[must_use]
    pub fn priority<Q>(self, priority: Q) -> AdmissionLayer<Q> {
        AdmissionLayer {
            settings: self.settings,
            gate: self.gate,
            priority,
        }
    }

    /// How it stands, and what it did so far.
    pub fn stats(&self) -> Stats {
        self.gate.stats()
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self.gate = Gate::new(&self.settings);
        self
    }
}

impl<S, P: Clone> Layer<S> for AdmissionLayer<P> {
    type Service = Admission<S, P>;

    fn layer(&self, inner: S) -> Admission<S, P> {
        Admission {
            inner,
            gate: self.gate.clone(),
            priority: self.priority.clone(),
        }
    }
}

/// See [`AdmissionLayer`].
#[derive(Clone, Debug)]
pub struct Admission<S, P = ByContext> {
    inner: S,
    gate: Arc<Gate>,
    priority: P,
}

impl<S, P> Admission<S, P> {
    /// How it stands, and what it did so far.
    pub fn stats(&self) -> Stats {
        self.gate.stats()
    }
}

impl<S: Explain, P> Explain for Admission<S, P> {
    fn explain(&self, out: &mut Explanation) {
        let stats = self.stats();
        let part = out.part("Admission").role(Role::ObeysPolicies);
        part.setting(format_args!("{} at once, for now", stats.limit));
        if stats.is_overloaded {
            part.setting("overloaded");
        }
        self.inner.explain(out);
    }
}

impl<S, P, R> Service<R> for Admission<S, P>
where
    R: Carry,
    S: Service<R> + Clone,
    S::Error: From<Error> + AsError,
    P: Prioritize<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AdmissionFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: R) -> AdmissionFuture<S, R> {
        let cx = request.cx_mut();
        let deadline = cx.deadline();
        if deadline.is_some_and(|deadline| deadline <= cx.start()) {
            return AdmissionFuture::refused(&mut self.inner, self.gate.late());
        }
        if let Some(pass) = self.gate.enter_at_once() {
            return AdmissionFuture::called(self.inner.call(request), pass);
        }
        match self.gate.enter(self.priority.priority(&request), deadline) {
            Admitted::Now(pass) => AdmissionFuture::called(self.inner.call(request), pass),
            Admitted::Later(ticket) => {
                let next = self.inner.clone();
                let ready = mem::replace(&mut self.inner, next);
                AdmissionFuture::waiting(ticket, ready, request)
            }
            Admitted::Never(error) => AdmissionFuture::refused(&mut self.inner, error),
        }
    }
}
