//! What must be done past a lock.

use std::{sync::Arc, task::Waker};

use super::mailbox::Mailbox;
use crate::{Body, Error, Request, Response};

/// What leaves the outbox, to be delivered, woken or dropped only when its lock is released: all of it may run code
/// of the user's.
///
/// [`settle`](Self::settle) does it, and so does dropping.
#[derive(Debug, Default)]
pub(super) struct Leavings {
    driver: Option<Waker>,
    // Most callers leave nothing else, and need no allocation.
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    deliveries: Vec<(Arc<Mailbox>, Answer)>,
    #[expect(
        clippy::vec_box,
        reason = "they come in boxes, and a box is one word to move"
    )]
    requests: Vec<Box<Request<Body>>>,
    results: Vec<Answer>,
}

type Answer = Result<Response<Body>, Error>;

impl Leavings {
    /// Adds the driver, to be woken.
    pub(super) fn wake(&mut self, driver: Option<Waker>) {
        self.driver = driver;
    }

    /// Adds a result, to be delivered if somebody waits for it.
    pub(super) fn deliver(&mut self, mailbox: Option<Arc<Mailbox>>, result: Answer) {
        match mailbox {
            Some(mailbox) => self.rest().deliveries.push((mailbox, result)),
            None => self.drop_result(result),
        }
    }

    /// Adds a request, to be dropped.
    pub(super) fn drop_request(&mut self, request: Box<Request<Body>>) {
        self.rest().requests.push(request);
    }

    /// Adds a result that nobody waits for, to be dropped.
    pub(super) fn drop_result(&mut self, result: Answer) {
        self.rest().results.push(result);
    }

    /// Delivers, wakes and drops, and keeps the memory. To be called without the lock.
    pub(super) fn settle(&mut self) {
        if let Some(rest) = &mut self.rest {
            for (mailbox, result) in rest.deliveries.drain(..) {
                let waker = mailbox.deliver(result);
                // The caller uses its mailbox again if nobody else holds it when it wakes.
                drop(mailbox);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            rest.requests.clear();
            rest.results.clear();
        }
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
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
