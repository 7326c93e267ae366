//! A call that was started: a handle to its answer.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::task::AbortHandle;

use super::{
    Answer,
    issue::{Ongoing, hand_over},
};
use crate::{Codec, Error, Execution, Kind, codec::DefaultCodec, conn::CallResult};

/// A call that runs, made by [`Call::start`](super::Call::start): await it, cancel it, or let it go.
///
/// Clones are handles of the same call: each can be awaited, and each is given the answer or a clone of the
/// error. Awaiting a handle does not use it up: `(&mut handle).await` can be repeated.
///
/// When the last handle is dropped the call is cancelled, unless it was [detached](Self::detach).
#[must_use = "dropping the last handle cancels the call; `detach` lets it run"]
pub struct Started<T, C = DefaultCodec> {
    call: Arc<Running>,
    /// Which of the handles this is.
    number: u64,
    codec: C,
    answer: PhantomData<fn() -> T>,
}

/// What the handles of one call share. Goes with the last of them.
#[derive(Debug)]
struct Running {
    outcome: Arc<Outcome>,
    task: Option<AbortHandle>,
    detached: AtomicBool,
    handles: AtomicU64,
}

/// What became of a call, for all who wait for it.
#[derive(Debug, Default)]
struct Outcome(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    answer: Option<CallResult>,
    /// Handles that wait, by number: each at most once.
    wakers: Vec<(u64, Waker)>,
}

impl<T, C> Started<T, C> {
    /// A call that was answered at once.
    pub(super) fn ready(answer: CallResult, codec: C) -> Self {
        let outcome = Arc::<Outcome>::default();
        outcome.settle(answer);
        Self::new(outcome, None, codec)
    }

    /// A call that is given a task.
    pub(super) fn spawn(call: Ongoing, codec: C) -> Self {
        let outcome = Arc::<Outcome>::default();
        let told = outcome.clone();
        let task = tokio::spawn(hand_over(call, move |answer| told.settle(answer)));
        Self::new(outcome, Some(task.abort_handle()), codec)
    }

    fn new(outcome: Arc<Outcome>, task: Option<AbortHandle>, codec: C) -> Self {
        Self {
            call: Arc::new(Running {
                outcome,
                task,
                detached: AtomicBool::new(false),
                handles: AtomicU64::new(1),
            }),
            number: 0,
            codec,
            answer: PhantomData,
        }
    }

    /// Whether the call has ended.
    pub fn is_finished(&self) -> bool {
        self.call.outcome.lock().answer.is_some()
    }

    /// Cancels the call for all its handles: they get [`Kind::Cancelled`]. What was not sent never is, and what
    /// was is stopped at the other side. Without effect on a call that has ended; safe to repeat, and at the same
    /// time from several tasks.
    pub fn cancel(&self) {
        let error = Error::new(Kind::Cancelled, "the call was cancelled by its handle");
        let error = error.with_execution(Execution::MaybeExecuted);
        self.call.outcome.settle(Err(error));
        self.call.abort();
    }

    /// Lets the call run to its end, whatever becomes of its handles.
    pub fn detach(self) {
        self.call.detached.store(true, Ordering::Relaxed);
    }
}

impl Running {
    fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !*self.detached.get_mut() {
            self.abort();
        }
    }
}

impl Outcome {
    /// The call has ended; what comes later changes nothing.
    fn settle(&self, answer: CallResult) {
        let mut waiting = self.lock();
        if waiting.answer.is_some() {
            // What is dropped may be the user's.
            drop(waiting);
            return;
        }
        waiting.answer = Some(answer);
        let wakers = mem::take(&mut waiting.wakers);
        drop(waiting);
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// A copy of the answer, or a promise to wake the handle of this number.
    fn poll(&self, number: u64, waker: &Waker) -> Poll<CallResult> {
        let mut waiting = self.lock();
        if let Some(answer) = &waiting.answer {
            return Poll::Ready(answer.clone());
        }
        let place = waiting.wakers.iter().position(|(of, _)| *of == number);
        // Dropped past the lock: it may run code of the user's.
        let _old = place.map(|place| waiting.wakers.swap_remove(place));
        waiting.wakers.push((number, waker.clone()));
        drop(waiting);
        Poll::Pending
    }

    /// The handle of this number no longer waits.
    fn leave(&self, number: u64) {
        let mut waiting = self.lock();
        let place = waiting.wakers.iter().position(|(of, _)| *of == number);
        let _old = place.map(|place| waiting.wakers.swap_remove(place));
        drop(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Answer, C: Codec> Future for Started<T, C> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.call.outcome.poll(self.number, cx.waker());
        answer.map(|answer| T::from_response(answer?, &self.codec))
    }
}

// Nothing in it is pinned in place.
impl<T, C> Unpin for Started<T, C> {}

impl<T, C: Clone> Clone for Started<T, C> {
    fn clone(&self) -> Self {
        Self {
            number: self.call.handles.fetch_add(1, Ordering::Relaxed),
            call: self.call.clone(),
            codec: self.codec.clone(),
            answer: PhantomData,
        }
    }
}

impl<T, C> Drop for Started<T, C> {
    fn drop(&mut self) {
        self.call.outcome.leave(self.number);
    }
}

impl<T, C> fmt::Debug for Started<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
