//! Calls made inside a handler end with it.
//!
//! A handler has as long as its caller waits. A call that it makes on the way need not take longer: nobody
//! would see the answer. [`InheritLayer`] goes around the service of a server and notes the deadline of the
//! request for as long as its handler is polled; [`TimeoutLayer`](crate::timeout::TimeoutLayer) on a client
//! reads it and brings the deadline of the nested call forward. So `client.call(…)` in a handler inherits what
//! is left, without an argument passed along.
//!
//! What is noted belongs to the poll, not to the task: a task that the handler spawns does not inherit. There,
//! pass it on by hand with [`Context::inherit`](crate::Context::inherit). A call that is to outlive its caller
//! says so with [`Context::set_independent`](crate::Context::set_independent).

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Carry,
    explain::{Explain, Explanation, Role},
    moment::Moment,
};

/// The deadline of the handler that is being polled on this thread, if it has one.
///
/// For calls by other clients, and to pass on to tasks.
#[inline]
pub fn deadline() -> Option<Instant> {
    deadline_moment().instant()
}

#[inline]
pub(crate) fn deadline_moment() -> Moment {
    DEADLINE.get()
}

/// Lets the calls that a handler makes inherit its deadline.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct InheritLayer {}

impl InheritLayer {
    /// Has nothing to configure.
    pub fn new() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for InheritLayer {
    type Service = Inherit<S>;

    fn layer(&self, inner: S) -> Inherit<S> {
        Inherit { inner }
    }
}

/// See [`InheritLayer`].
#[derive(Clone, Debug)]
pub struct Inherit<S> {
    inner: S,
}

impl<S, R> Service<R> for Inherit<S>
where
    R: Carry,
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = InheritFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> InheritFuture<S::Future> {
        let deadline = request.cx().deadline_moment();
        let _scope = Scope::enter(deadline);
        InheritFuture {
            inner: self.inner.call(request),
            deadline,
        }
    }
}

impl<S: Explain> Explain for Inherit<S> {
    fn explain(&self, out: &mut Explanation) {
        out.part("Inherit").role(Role::Inherits);
        self.inner.explain(out);
    }
}

pin_project! {
    /// The answer of an [`Inherit`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InheritFuture<F> {
        #[pin]
        inner: F,
        deadline: Moment,
    }
}

impl<F: Future> Future for InheritFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _scope = Scope::enter(*this.deadline);
        this.inner.poll(cx)
    }
}

thread_local! {
    static DEADLINE: Cell<Moment> = const { Cell::new(Moment::NONE) };
}

/// Notes a deadline until it is dropped, in a panic too.
struct Scope {
    outer: Moment,
}

impl Scope {
    fn enter(deadline: Moment) -> Self {
        Self {
            outer: DEADLINE.replace(deadline),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        DEADLINE.set(self.outer);
    }
}
