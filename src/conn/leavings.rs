//! What must be done past a lock.

use std::task::Waker;

use crate::{Body, Error, Request, Response};

/// What leaves the outbox, to be woken or dropped only when its lock is released: both may run code of the user's.
///
/// [`settle`](Self::settle) does it, and so does dropping.
#[derive(Debug, Default)]
pub(super) struct Leavings {
    /// Most often there is one task to wake and nothing else, and no need for an allocation.
    first: Option<Waker>,
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    wake: Vec<Waker>,
    wakers: Vec<Waker>,
    requests: Vec<Box<Request<Body>>>,
    results: Vec<Result<Response<Body>, Error>>,
}

impl Leavings {
    /// Adds a task to be woken.
    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        match &self.first {
            None => self.first = waker,
            Some(_) => self.rest().wake.extend(waker),
        }
    }

    /// Wakes and drops, and keeps the memory. To be called without the lock.
    pub(super) fn settle(&mut self) {
        if let Some(first) = self.first.take() {
            first.wake();
        }
        if let Some(rest) = &mut self.rest {
            rest.wake.drain(..).for_each(Waker::wake);
            rest.wakers.clear();
            rest.requests.clear();
            rest.results.clear();
        }
    }

    /// Adds a request to be dropped.
    pub(super) fn drop_request(&mut self, request: Box<Request<Body>>) {
        self.rest().requests.push(request);
    }

    /// Adds a waker to be dropped.
    pub(super) fn drop_waker(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.rest().wakers.push(waker);
        }
    }

    /// Adds a result to be dropped.
    pub(super) fn drop_result(&mut self, result: Result<Response<Body>, Error>) {
        self.rest().results.push(result);
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }
}

impl Drop for Leavings {
    fn drop(&mut self) {
        self.settle();
    }
}
