//! One call of a batch.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::Answer;
use crate::{
    Codec, Error, Execution, Kind,
    codec::DefaultCodec,
    conn::{CallResult, Tray},
};

/// The answer to one call of a [`Batch`](super::Batch): [taken](Self::take) when the batch has run, or awaited by
/// whoever added the call.
///
/// It keeps the answers of its batch in memory. Dropping it cancels nothing.
#[must_use = "an item holds the answer to a call; for a message without one there is `notify`"]
pub struct Item<T, C = DefaultCodec> {
    tray: Arc<Tray>,
    number: u32,
    codec: C,
    answer: PhantomData<fn() -> T>,
}

impl<T, C> Item<T, C> {
    /// Whether the answer is there: the call has ended.
    pub fn is_finished(&self) -> bool {
        self.tray.is_here(self.number)
    }
}

impl<T: Answer, C: Codec> Item<T, C> {
    pub(super) fn new(tray: Arc<Tray>, number: u32, codec: C) -> Self {
        Self {
            tray,
            number,
            codec,
            answer: PhantomData,
        }
    }

    /// The answer, after the batch has run. Who cannot know that it has asks whether it [is
    /// there](Self::is_finished), or awaits the item.
    ///
    /// # Errors
    /// That of the call; [`Kind::Invalid`] if the answer is no `T`; or if the batch has not run to its end, which
    /// says nothing of the call: it may be under way, or go out with a run to come.
    pub fn take(self) -> Result<T, Error> {
        match self.tray.poll(self.number, Waker::noop()) {
            Poll::Ready(answer) => self.decode(answer),
            Poll::Pending => {
                let error = Error::new(Kind::Invalid, "the batch has not run to its end");
                Err(error.with_execution(Execution::MaybeExecuted))
            }
        }
    }

    fn decode(&self, answer: CallResult) -> Result<T, Error> {
        T::from_response(answer?, &self.codec)
    }
}

/// Waits until this call of the batch is answered. Of a batch that is dropped without being run, that is an error.
impl<T: Answer, C: Codec> Future for Item<T, C> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.tray.poll(self.number, cx.waker());
        answer.map(|answer| self.decode(answer))
    }
}

// Nothing in it is pinned in place.
impl<T, C> Unpin for Item<T, C> {}

impl<T, C> fmt::Debug for Item<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("number", &self.number)
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
