//! The memory of large bodies, used again.
//!
//! An allocator takes that of a body of 64 MiB from the system and gives it back there. Both take milliseconds:
//! a fault for each page when it is first written, and its release when the body ends, on whatever task that
//! is. Small messages beside large ones wait for it longer than for the transfer. So the memory of the last
//! large body of a connection comes back when the body is dropped, and is that of the next one.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;

use crate::wire::Budget;

/// The memory that a connection keeps for its next large body. A body may outlive it, and then ends for good.
#[derive(Debug)]
pub(super) struct Spare(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    /// Without capacity if there is none. What there is, is paid from the budget.
    memory: Mutex<Vec<u8>>,
    budget: Budget,
}

/// The memory of a body, which comes back.
struct Lent {
    memory: Vec<u8>,
    slot: Weak<Slot>,
}

/// Bodies from this length on leave their memory. That of shorter ones costs less, and allocators keep it.
const LARGE: usize = 1024 * 1024;

/// How much longer than a body its memory may be, as a factor: no more than where a buffer has doubled.
const SLACK: u64 = 2;

impl Spare {
    /// Room for none yet, to be paid from `budget`.
    pub(super) fn new(budget: Budget) -> Self {
        let memory = Mutex::default();
        Self(Arc::new(Slot { memory, budget }))
    }

    /// Memory for a body of so many bytes, or an empty vector without any.
    pub(super) fn take(&self, len: u64) -> Vec<u8> {
        let mut kept = self.0.lock();
        if kept.capacity() as u64 > len.saturating_mul(SLACK) {
            return Vec::new();
        }
        let memory = mem::take(&mut *kept);
        drop(kept);
        self.0.budget.give(memory.capacity());
        memory
    }

    /// The body, whose memory comes back when it is dropped, if it is large.
    pub(super) fn lend(&self, body: Vec<u8>) -> Bytes {
        if body.len() < LARGE {
            return Bytes::from(body);
        }
        Bytes::from_owner(Lent {
            memory: body,
            slot: Arc::downgrade(&self.0),
        })
    }

    /// Gives the memory back that is kept.
    pub(super) fn clear(&self) {
        drop(self.take(u64::MAX));
    }
}

impl Slot {
    /// Keeps memory, if it can be paid for. The last is most like what comes next, so the one before goes.
    fn put(&self, mut memory: Vec<u8>) {
        memory.clear();
        // What goes must not be dropped under the lock: that takes long.
        let old = mem::take(&mut *self.lock());
        self.budget.give(old.capacity());
        if self.budget.take(memory.capacity()) {
            let other = mem::replace(&mut *self.lock(), memory);
            self.budget.give(other.capacity());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.budget.give(self.lock().capacity());
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.upgrade() {
            slot.put(mem::take(&mut self.memory));
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent")
            .field("len", &self.memory.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn spare() -> (Spare, Budget) {
        let budget = Budget::new(10 * MIB);
        (Spare::new(budget.clone()), budget)
    }

    #[test]
    fn the_memory_of_a_large_body_is_that_of_the_next() {
        let (spare, budget) = spare();
        let body = spare.lend(vec![1; 2 * MIB]);
        let at = body.as_ptr();
        let part = body.slice(7..9);
        drop(body);
        assert_eq!(
            (spare.take(2 * MIB as u64).capacity(), &part[..]),
            (0, &[1, 1][..])
        );
        drop(part);
        assert_eq!(budget.used(), 2 * MIB);
        let next = spare.take(2 * MIB as u64);
        assert_eq!(
            (next.as_ptr(), next.len(), next.capacity()),
            (at, 0, 2 * MIB)
        );
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_body_gets_no_memory_that_is_much_longer() {
        let (spare, _) = spare();
        drop(spare.lend(vec![1; 2 * MIB]));
        assert_eq!(spare.take(MIB as u64 - 1).capacity(), 0);
        assert_eq!(spare.take(MIB as u64).capacity(), 2 * MIB);
    }

    #[test]
    fn the_memory_of_a_short_body_does_not_come_back() {
        let (spare, budget) = spare();
        drop(spare.lend(vec![1; LARGE - 1]));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_body_s_memory_is_kept_and_no_more_than_the_budget_has() {
        let (spare, budget) = spare();
        let bodies = [2, 3, 20].map(|mib| spare.lend(vec![1; mib * MIB]));
        let [first, second, third] = bodies;
        drop(first);
        drop(second);
        assert_eq!(budget.used(), 3 * MIB);
        drop(third);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_kept_goes_with_the_connection_or_before() {
        let (spare, budget) = spare();
        drop(spare.lend(vec![1; MIB]));
        spare.clear();
        assert_eq!(budget.used(), 0);
        drop(spare.lend(vec![1; MIB]));
        let late = spare.lend(vec![1; MIB]);
        drop(spare);
        assert_eq!(budget.used(), 0);
        drop(late);
        assert_eq!(budget.used(), 0);
    }
}
