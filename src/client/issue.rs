//! Calls that go on by themselves.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::{Error, Execution, Kind, conn::CallResult};

/// A call that was begun and has no answer yet.
pub(super) type Ongoing = Pin<Box<dyn Future<Output = CallResult> + Send>>;

/// Begins a call: what is ready happens now, before any task runs.
pub(super) fn poll_once(
    call: impl Future<Output = CallResult> + Send + 'static,
) -> Result<CallResult, Ongoing> {
    let mut call: Ongoing = Box::pin(call);
    // Nobody has to be woken: whoever is given what remains polls it first.
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => Err(call),
    }
}

/// Runs a call to its end and gives its answer to `deliver`; an error, if it panics or is dropped before, even if it
/// was never polled.
pub(super) fn hand_over<F: FnOnce(CallResult)>(
    call: Ongoing,
    deliver: F,
) -> impl Future<Output = ()> {
    let mut promise = Promise(Some(deliver));
    async move {
        let answer = call.await;
        promise.keep(answer);
    }
}

/// To tell somebody, come what may.
struct Promise<F: FnOnce(CallResult)>(Option<F>);

impl<F: FnOnce(CallResult)> Promise<F> {
    fn keep(&mut self, answer: CallResult) {
        if let Some(deliver) = self.0.take() {
            deliver(answer);
        }
    }
}

impl<F: FnOnce(CallResult)> Drop for Promise<F> {
    fn drop(&mut self) {
        let error = match std::thread::panicking() {
            true => Error::new(Kind::Internal, "the client's service panicked"),
            false => Error::new(Kind::Cancelled, "the task of the call was dropped"),
        };
        self.keep(Err(error.with_execution(Execution::MaybeExecuted)));
    }
}
