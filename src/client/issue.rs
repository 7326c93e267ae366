//! Calls that go on by themselves.

use std::{
    any::TypeId,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use crate::{
    Body, Channel, DefaultStack, Error, Execution, Kind, Peer, Request,
    conn::{CallResult, Witness},
};

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

/// Has it told how far a call of `S` came; nothing if that is no stack of this crate alone, since others may send
/// calls where no [`Witness`] is.
pub(super) fn witness<S: 'static>(request: &mut Request<Body>) -> Option<Witness> {
    let ours = [
        TypeId::of::<Channel>(),
        TypeId::of::<Peer>(),
        TypeId::of::<DefaultStack>(),
    ];
    ours.contains(&TypeId::of::<S>()).then(|| {
        let witness = Witness::default();
        request.extensions_mut().insert(witness.clone());
        witness
    })
}

/// A call that runs to its end and gives its answer to somebody; an error, if it panics or is dropped before, which
/// says what its witness knows.
#[must_use = "a call goes on only if it is polled"]
pub(super) struct HandOver<F: FnOnce(CallResult)> {
    /// Goes before the promise, which tells what it came to.
    call: Ongoing,
    promise: Promise<F>,
}

struct Promise<F: FnOnce(CallResult)> {
    deliver: Option<F>,
    witness: Option<Witness>,
}

impl<F: FnOnce(CallResult)> HandOver<F> {
    pub(super) fn new(call: Ongoing, witness: Option<Witness>, deliver: F) -> Self {
        let deliver = Some(deliver);
        Self {
            call,
            promise: Promise { deliver, witness },
        }
    }
}

impl<F: FnOnce(CallResult)> Promise<F> {
    fn keep(&mut self, answer: CallResult) {
        if let Some(deliver) = self.deliver.take() {
            deliver(answer);
        }
    }
}

impl<F: FnOnce(CallResult)> Future for HandOver<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let answer = ready!(self.call.as_mut().poll(cx));
        self.promise.keep(answer);
        Poll::Ready(())
    }
}

// Nothing in it is pinned in place.
impl<F: FnOnce(CallResult)> Unpin for HandOver<F> {}

impl<F: FnOnce(CallResult)> Drop for Promise<F> {
    fn drop(&mut self) {
        let error = match std::thread::panicking() {
            true => Error::new(Kind::Internal, "the client's service panicked"),
            false => Error::new(Kind::Cancelled, "the call was cancelled"),
        };
        let execution = self.witness.as_ref().map(Witness::execution);
        let execution = execution.unwrap_or(Execution::MaybeExecuted);
        self.keep(Err(error.with_execution(execution)));
    }
}
