//! Memory that several connections share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A number of bytes from which the unfinished messages of many connections are paid.
///
/// A peer pays for bytes that it has sent, never for bytes that it has announced.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes, none of them used. Clones share it.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner {
            limit,
            used: AtomicUsize::new(0),
        }))
    }

    /// The bytes there are in all.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// The bytes in use.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, all or none.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        // Relaxed: the number guards no other memory.
        self.0
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.0.limit)
            })
            .is_ok()
    }

    /// Gives back `bytes` that were taken.
    pub(crate) fn give(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_a_budget_that_gives_all_or_nothing() {
        let budget = Budget::new(10);
        let clone = budget.clone();
        assert!(budget.take(7));
        assert!(!clone.take(4));
        assert!(!clone.take(usize::MAX));
        assert_eq!(clone.used(), 7);
        clone.give(7);
        assert!(budget.take(10));
    }
}
