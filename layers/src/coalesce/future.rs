//! A call that may be another's too.

use std::{
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Flights, flight::Place};
use crate::Error;

pin_project! {
    /// The answer of a [`Coalesce`](super::Coalesce). Dropping it cancels the call, unless others share it.
    #[must_use = "futures do nothing unless polled"]
    pub struct CoalesceFuture<K, F, T>
    where
        K: Eq,
        K: Hash,
    {
        #[pin]
        state: State<K, F, T>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<K, F, T>
    where
        K: Eq,
        K: Hash,
    {
        /// It is not shared.
        Alone {
            #[pin]
            call: F,
        },
        /// It is, or may be.
        Shared { shared: Shared<K, F, T> },
        /// The result was taken.
        Done,
    }
}

/// A place in a call, which is left when this is dropped.
pub(super) struct Shared<K: Eq + Hash, F, T> {
    pub(super) flights: Arc<Flights<K, F, T>>,
    pub(super) key: K,
    pub(super) place: Place<F, T>,
}

impl<K: Eq + Hash, F, T> CoalesceFuture<K, F, T> {
    pub(super) fn alone(call: F) -> Self {
        Self {
            state: State::Alone { call },
        }
    }

    pub(super) fn shared(shared: Shared<K, F, T>) -> Self {
        Self {
            state: State::Shared { shared },
        }
    }
}

impl<K, F, T, E> Future for CoalesceFuture<K, F, T>
where
    K: Eq + Hash,
    F: Future<Output = Result<T, E>>,
    T: Clone,
    E: From<Error> + Into<Error>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProjection::Alone { call } => ready!(call.poll(cx)),
            StateProjection::Shared { shared } => {
                ready!(shared.place.poll(cx));
                shared.flights.end(&shared.key, shared.place.flight());
                shared.place.result().map_err(E::from)
            }
            StateProjection::Done => panic!("`CoalesceFuture` polled after completion"),
        };
        state.set(State::Done);
        Poll::Ready(result)
    }
}

impl<K: Eq + Hash, F, T> Drop for Shared<K, F, T> {
    fn drop(&mut self) {
        if self.place.leave() {
            self.flights.end(&self.key, self.place.flight());
        }
    }
}

impl<K: Eq + Hash, F, T> fmt::Debug for CoalesceFuture<K, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Alone { .. } => "alone",
            State::Shared { .. } => "shared",
            State::Done => "done",
        };
        f.debug_tuple("CoalesceFuture").field(&state).finish()
    }
}
