//! A handler that was not ready at once, in a task of its own.

use std::{
    any::Any,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::task::coop;

use super::{expansion::Expanded, quota::Leave, shared::Shared, told::told};
use crate::{Body, Encoding, Error, Execution, Kind, Response, events, wire::Id};

/// Where a handler's future lives: polled in place by the driver, and moved as a whole to a task.
pub(super) type Slot<F> = Pin<Box<Option<F>>>;

/// What becomes of a handler's answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// It goes to the call with this id, which asked for this encoding.
    To(Id, Encoding),
    /// Nobody waits for it. The number tells the handler from others of its kind.
    Nobody(u64),
}

/// The task. Whatever happens to it, its call gets one answer: also when it is dropped before its end.
pub(super) struct Job<F> {
    slot: Slot<F>,
    reply: Reply,
    stop: Arc<Stop>,
    shared: Arc<Shared>,
    answered: bool,
    /// Go with the job, after its handler.
    _held: Held,
}

/// What a handler holds while it runs: leave to do so, and the memory of a body that was decompressed for it.
pub(super) type Held = (Option<Leave>, Option<Expanded>);

/// By which the driver ends a job.
#[derive(Debug, Default)]
pub(super) struct Stop(Mutex<Stopping>);

#[derive(Debug, Default)]
struct Stopping {
    /// Why the handler is to be dropped.
    kind: Option<Kind>,
    waker: Option<Waker>,
}

impl<F> Job<F> {
    pub(super) fn new(
        slot: Slot<F>,
        reply: Reply,
        stop: Arc<Stop>,
        shared: Arc<Shared>,
        held: Held,
    ) -> Self {
        Self {
            slot,
            reply,
            stop,
            shared,
            answered: false,
            _held: held,
        }
    }

    fn answer(&mut self, result: Result<Response<Body>, Error>) {
        self.shared.answer(self.reply, result);
        self.answered = true;
    }
}

impl<F, E> Future for Job<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<Error>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        let result = match me.stop.check(cx.waker()) {
            Some(kind) => {
                clear(&mut me.slot);
                Err(stopped(kind))
            }
            None => match poll_slot(&mut me.slot, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(result) => result,
            },
        };
        me.answer(result);
        Poll::Ready(())
    }
}

impl<F> Drop for Job<F> {
    fn drop(&mut self) {
        if !self.answered {
            clear(&mut self.slot);
            let error = Error::new(Kind::Internal, "the handler's task was dropped");
            self.answer(Err(error.with_execution(Execution::MaybeExecuted)));
        }
    }
}

impl Stop {
    /// Asks the job to drop its handler and to answer that.
    pub(super) fn stop(&self, kind: Kind) {
        let waker = {
            let mut stopping = self.lock();
            stopping.kind.get_or_insert(kind);
            stopping.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether to stop; if not, `waker` is woken when it is.
    fn check(&self, waker: &Waker) -> Option<Kind> {
        // The old waker is dropped past the lock.
        let _old;
        let mut stopping = self.lock();
        if stopping.kind.is_none()
            && !stopping
                .waker
                .as_ref()
                .is_some_and(|old| old.will_wake(waker))
        {
            _old = stopping.waker.replace(waker.clone());
        }
        stopping.kind
    }

    fn lock(&self) -> MutexGuard<'_, Stopping> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Polls the handler in a slot. A panic is its answer: without this it would take the connection down. The slot
/// is empty when the handler has ended.
pub(super) fn poll_slot<F, E>(
    slot: &mut Slot<F>,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<Body>, Error>>
where
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<Error>,
{
    guarded(slot, |slot| handler(slot).poll(cx))
}

/// Puts a handler into the slot and polls it once, for whoever will poll it again if it is pending: without a
/// waker, and without a part in the task's cooperative budget.
pub(super) fn begin_slot<F, E>(
    slot: &mut Slot<F>,
    begin: impl FnOnce() -> F,
) -> Poll<Result<Response<Body>, Error>>
where
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<Error>,
{
    guarded(slot, |slot| {
        slot.set(Some(begin()));
        pin!(coop::unconstrained(handler(slot))).poll(&mut Context::from_waker(Waker::noop()))
    })
}

fn handler<F>(slot: &mut Slot<F>) -> Pin<&mut F> {
    let handler = slot.as_mut().as_pin_mut();
    handler.expect("a slot that is polled is full")
}

/// Runs code of the user's. One guard for all of it: each costs as much as a short handler.
fn guarded<F, E>(
    slot: &mut Slot<F>,
    run: impl FnOnce(&mut Slot<F>) -> Poll<Result<Response<Body>, E>>,
) -> Poll<Result<Response<Body>, Error>>
where
    E: Into<Error>,
{
    let mut poll = Poll::Pending;
    let caught = catch_unwind(AssertUnwindSafe(|| {
        poll = match run(slot) {
            Poll::Pending => return,
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(told(error.into()))),
        };
        slot.set(None);
    }));
    if let Err(panic) = caught {
        let error = panicked(panic);
        // One that threw only when it was dropped has answered before.
        if poll.is_pending() {
            clear(slot);
            poll = Poll::Ready(Err(error));
        }
    }
    poll
}

/// Drops a handler, and catches what it throws.
fn clear<F>(slot: &mut Slot<F>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| slot.set(None))) {
        panicked(panic);
    }
}

/// The answer of a handler that panicked. What it said goes to the log, not to the peer.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(target: events::HANDLER, panic = text.unwrap_or("?"), "a handler panicked");
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // What throws when it is dropped is dropped no more.
        mem::forget(again);
    }
    Error::new(Kind::Internal, "the handler panicked").with_execution(Execution::MaybeExecuted)
}

fn stopped(kind: Kind) -> Error {
    let text = match kind {
        Kind::Timeout => "the deadline passed while the handler ran",
        _ => "the call was cancelled while the handler ran",
    };
    Error::new(kind, text).with_execution(Execution::MaybeExecuted)
}
