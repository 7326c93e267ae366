//! One call and those who share it.
//!
//! There is no task: whoever is woken polls the call for all. It wakes everybody, since nobody knows who still looks
//! at its future; and who leaves wakes the others, since it may have been woken for them.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    task::{Context, Poll, Wake, Waker},
};

use super::MAX_SHARING;
use crate::{Error, Execution, Kind};

pub(super) struct Flight<F, T> {
    call: Mutex<Call<F, T>>,
    is_over: AtomicBool,
    callers: Arc<Callers>,
    /// Wakes the callers.
    waker: Waker,
}

enum Call<F, T> {
    Running(Pin<Box<F>>),
    Over(Result<T, Error>),
    /// It panicked, or the last caller has taken the result.
    Gone,
}

/// A caller's place in a call.
pub(super) struct Place<F, T> {
    flight: Arc<Flight<F, T>>,
    number: usize,
}

#[derive(Default)]
struct Callers(Mutex<Places>);

#[derive(Default)]
struct Places {
    wakers: Vec<Option<Waker>>,
    /// Numbers of places that were left.
    free: Vec<usize>,
}

impl<F, T> Flight<F, T> {
    /// A call, and the place of who made it.
    pub(super) fn begin(call: F) -> (Arc<Self>, Place<F, T>) {
        let callers = Arc::new(Callers::default());
        let number = callers.places().add();
        let flight = Arc::new(Self {
            call: Mutex::new(Call::Running(Box::pin(call))),
            is_over: AtomicBool::new(false),
            waker: callers.clone().into(),
            callers,
        });
        let place = Place {
            flight: flight.clone(),
            number,
        };
        (flight, place)
    }

    /// A place for one more, unless the call has too many, or nobody any more.
    pub(super) fn join(self: &Arc<Self>) -> Option<Place<F, T>> {
        let mut places = self.callers.places();
        if !(1..MAX_SHARING).contains(&places.taken()) {
            return None;
        }
        Some(Place {
            number: places.add(),
            flight: self.clone(),
        })
    }
}

impl<F, T> Place<F, T> {
    pub(super) fn flight(&self) -> &Arc<Flight<F, T>> {
        &self.flight
    }

    /// Is ready when the call is over.
    pub(super) fn poll<E>(&self, cx: &mut Context<'_>) -> Poll<()>
    where
        F: Future<Output = Result<T, E>>,
        E: Into<Error>,
    {
        let flight = &self.flight;
        // Before the look at the call, so that nothing happens unseen between the two.
        flight.callers.places().wakers[self.number] = Some(cx.waker().clone());
        if flight.is_over.load(Acquire) {
            return Poll::Ready(());
        }
        let mut call = match flight.call.try_lock() {
            Ok(call) => call,
            Err(TryLockError::Poisoned(call)) => call.into_inner(),
            // Another caller polls it just now, and all are woken when that comes to something.
            Err(TryLockError::WouldBlock) => return Poll::Pending,
        };
        // A call that panics stays gone, and its caller's place is left.
        let mut running = match mem::replace(&mut *call, Call::Gone) {
            Call::Running(running) => running,
            other => {
                *call = other;
                return Poll::Ready(());
            }
        };
        let polled = running
            .as_mut()
            .poll(&mut Context::from_waker(&flight.waker));
        let Poll::Ready(result) = polled else {
            *call = Call::Running(running);
            return Poll::Pending;
        };
        *call = Call::Over(result.map_err(E::into));
        flight.is_over.store(true, Release);
        drop(call);
        flight.callers.places().wakers[self.number] = None;
        flight.callers.wake_all();
        Poll::Ready(())
    }

    /// The result of a call that is over and that nobody can join any more.
    pub(super) fn result(&self) -> Result<T, Error>
    where
        T: Clone,
    {
        let mut call = self
            .flight
            .call
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_last = self.flight.callers.places().taken() == 1;
        match &*call {
            Call::Over(result) if !is_last => result.clone(),
            _ => match mem::replace(&mut *call, Call::Gone) {
                Call::Over(result) => result,
                Call::Running(_) | Call::Gone => Err(panicked()),
            },
        }
    }

    /// Leaves the call. Whether that ends it: nobody shares it any more, and it is not over.
    pub(super) fn leave(&self) -> bool {
        let callers = &self.flight.callers;
        let is_empty = {
            let mut places = callers.places();
            places.remove(self.number);
            places.taken() == 0
        };
        if self.flight.is_over.load(Acquire) {
            return false;
        }
        if !is_empty {
            callers.wake_all();
        }
        is_empty
    }
}

impl Callers {
    /// Outside of the lock, since it is not known what is done by waking.
    fn wake_all(&self) {
        let wakers: Vec<_> = self
            .places()
            .wakers
            .iter_mut()
            .filter_map(Option::take)
            .collect();
        for waker in wakers {
            waker.wake();
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Callers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl Places {
    fn add(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        })
    }

    fn remove(&mut self, number: usize) {
        self.wakers[number] = None;
        self.free.push(number);
    }

    fn taken(&self) -> usize {
        self.wakers.len() - self.free.len()
    }
}

fn panicked() -> Error {
    Error::new(Kind::Internal, "the call that this one shared panicked")
        .with_execution(Execution::MaybeExecuted)
}
