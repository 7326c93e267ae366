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
    Codec, Error, Kind,
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

impl<T: Answer, C: Codec> Item<T, C> {
    pub(super) fn new(tray: Arc<Tray>, number: u32, codec: C) -> Self {
        Self {
            tray,
            number,
            codec,
            answer: PhantomData,
        }
    }

    /// The answer, after the batch has run.
    ///
    /// # Errors
    /// That of the call; [`Kind::Invalid`] if the answer is no `T`, or if the batch has not run to its end.
    pub fn take(self) -> Result<T, Error> {
        match self.tray.poll(self.number, Waker::noop()) {
            Poll::Ready(answer) => self.decode(answer),
            Poll::Pending => Err(Error::new(
                Kind::Invalid,
                "the batch has not run to its end",
            )),
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
            .finish_non_exhaustive()
    }
}
