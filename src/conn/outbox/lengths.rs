//! What is in the bulk lane, by its length.

use std::collections::HashMap;

use crate::wire::Id;

/// Messages and the lengths of their bodies, in bytes.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    of: HashMap<Id, usize>,
    sum: usize,
}

impl Lengths {
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        !self.of.is_empty() && self.of.contains_key(&id)
    }

    /// The length of all of them.
    pub(super) fn sum(&self) -> usize {
        self.sum
    }

    /// Adds a message that is not among them.
    pub(super) fn insert(&mut self, id: Id, len: usize) {
        let old = self.of.insert(id, len);
        debug_assert!(old.is_none(), "an id names one message");
        self.sum += len;
    }

    /// Removes all messages.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Id> {
        self.sum = 0;
        std::mem::take(&mut self.of).into_keys()
    }

    /// Removes a message; whether it was among them.
    pub(super) fn remove(&mut self, id: Id) -> bool {
        let len = self.of.remove(&id);
        self.sum -= len.unwrap_or(0);
        len.is_some()
    }
}
