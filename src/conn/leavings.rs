//! What must be done past a lock.

use std::task::Waker;

use bytes::Bytes;

use super::{
    answer::Answer,
    mailbox::{CallResult, Recipient},
};
use crate::{Body, Request};

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
    deliveries: Vec<(Recipient, CallResult)>,
    /// Those whose results are delivered.
    wakers: Vec<Waker>,
    #[expect(
        clippy::vec_box,
        reason = "they come in boxes, and a box is one word to move"
    )]
    requests: Vec<Box<Request<Body>>>,
    bodies: Vec<Bytes>,
    results: Vec<CallResult>,
}

impl Leavings {
    /// Adds the driver, to be woken.
    pub(super) fn wake(&mut self, driver: Option<Waker>) {
        self.driver = driver;
    }

    /// Adds a result, to be delivered if somebody waits for it.
    pub(super) fn deliver(&mut self, recipient: Option<Recipient>, result: CallResult) {
        match recipient {
            Some(recipient) => self.rest().deliveries.push((recipient, result)),
            None => self.drop_result(result),
        }
    }

    /// Adds a request, to be dropped.
    pub(super) fn drop_request(&mut self, request: Box<Request<Body>>) {
        self.rest().requests.push(request);
    }

    /// Adds a body, to be dropped.
    pub(super) fn drop_body(&mut self, body: Bytes) {
        self.rest().bodies.push(body);
    }

    /// Adds a result that nobody waits for, to be dropped.
    pub(super) fn drop_result(&mut self, result: CallResult) {
        self.rest().results.push(result);
    }

    /// Delivers the answers as well, straight from where they are, and [settles](Self::settle).
    pub(super) fn settle_with(&mut self, answers: &mut Vec<Answer>) {
        if !answers.is_empty() {
            let wakers = &mut self.rest().wakers;
            for answer in answers.drain(..) {
                if let Some(recipient) = answer.recipient {
                    recipient.deliver(answer.result, wakers);
                }
            }
        }
        self.settle();
    }

    /// Delivers, wakes and drops, and keeps the memory. To be called without the lock.
    pub(super) fn settle(&mut self) {
        if let Some(rest) = &mut self.rest {
            // All are delivered before anybody wakes: a caller finds its mailbox free to be used again, and a
            // waker that panics keeps no result from the others.
            for (recipient, result) in rest.deliveries.drain(..) {
                recipient.deliver(result, &mut rest.wakers);
            }
            rest.wakers.drain(..).for_each(Waker::wake);
            rest.requests.clear();
            rest.bodies.clear();
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
