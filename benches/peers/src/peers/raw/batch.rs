//! Calls that one task makes at once: what they share, they do once.
//!
//! All are encoded under one lock, no call has a slot of its own, their answers lie in one buffer, and the last of
//! them wakes the task.

use std::ops::Range;
use std::task::{Poll, Waker};

use slab::Slab;

use super::frames;

/// Tells the number of a call in a batch, `MARK | batch << 32 | index`, from that of any other call.
const MARK: u64 = 1 << 63;

/// The batches under way on one connection.
#[derive(Default)]
pub(super) struct Batches(Slab<Batch>);

struct Batch {
    answers: Answers,
    missing: usize,
    waker: Waker,
}

/// The answers to a batch.
#[derive(Default)]
pub(super) struct Answers {
    /// All of them, in the order in which they came.
    bytes: Vec<u8>,
    /// For each call, where in `bytes` its answer is.
    places: Vec<Range<usize>>,
}

impl Batches {
    /// Encodes `count` calls. Returns the key of their batch.
    pub(super) fn start(
        &mut self,
        out: &mut Vec<u8>,
        payload: &[u8],
        count: usize,
        waker: &Waker,
    ) -> usize {
        let key = self.0.insert(Batch {
            answers: Answers {
                bytes: Vec::with_capacity(count * payload.len()),
                places: vec![0..0; count],
            },
            missing: count,
            waker: waker.clone(),
        });
        for index in 0..count as u64 {
            frames::put(out, MARK | (key as u64) << 32 | index, payload);
        }
        key
    }

    /// The answers, once there are all. Otherwise `waker` is woken then.
    pub(super) fn poll(&mut self, key: usize, waker: &Waker) -> Poll<Answers> {
        let batch = &mut self.0[key];
        if batch.missing > 0 {
            batch.waker.clone_from(waker);
            return Poll::Pending;
        }
        Poll::Ready(self.0.remove(key).answers)
    }

    /// Takes an answer in. Returns whom to wake if it was the last.
    pub(super) fn answer(&mut self, id: u64, payload: &[u8]) -> Option<Waker> {
        let batch = self.0.get_mut((id & !MARK) as usize >> 32)?;
        let place = batch.answers.places.get_mut(id as u32 as usize)?;
        let from = batch.answers.bytes.len();
        batch.answers.bytes.extend_from_slice(payload);
        *place = from..batch.answers.bytes.len();
        batch.missing = batch.missing.saturating_sub(1);
        (batch.missing == 0).then(|| batch.waker.clone())
    }

    /// Those who wait.
    pub(super) fn wakers(&self) -> impl Iterator<Item = &Waker> {
        self.0.iter().map(|(_, batch)| &batch.waker)
    }
}

impl Answers {
    /// Each, in the order of the calls.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| &self.bytes[place.clone()])
    }
}

/// Whether an answer is one to a call of a batch.
pub(super) fn is_of_batch(id: u64) -> bool {
    id & MARK != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_calls_in_any_order_and_the_last_wakes() {
        let mut batches = Batches::default();
        let mut out = Vec::new();
        let first = batches.start(&mut out, b"x", 1, Waker::noop());
        let key = batches.start(&mut out, b"?", 3, Waker::noop());
        let id = |index| MARK | (key as u64) << 32 | index;
        assert!(is_of_batch(id(0)) && !is_of_batch(0));

        assert!(batches.answer(id(2), b"two").is_none());
        assert!(batches.answer(id(0), b"").is_none());
        assert!(batches.poll(key, Waker::noop()).is_pending());
        assert!(batches.answer(id(1), b"one").is_some());
        let Poll::Ready(answers) = batches.poll(key, Waker::noop()) else {
            panic!("the last answer is there");
        };
        assert!(answers.iter().eq([&b""[..], b"one", b"two"]));
        assert!(batches.poll(first, Waker::noop()).is_pending());
    }

    #[test]
    fn an_answer_to_no_call_is_left_alone() {
        let mut batches = Batches::default();
        let key = batches.start(&mut Vec::new(), b"?", 1, Waker::noop()) as u64;
        assert!(batches.answer(MARK | (key + 1) << 32, b"x").is_none());
        assert!(batches.answer(MARK | key << 32 | 1, b"x").is_none());
        assert!(batches.poll(key as usize, Waker::noop()).is_pending());
    }
}
