//! How far a call came that its caller gives up.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use crate::Execution;

/// An extension of a request that hears of each connection that took it how far the call came there. So whoever gives
/// a call up, attempts and all, can tell whether it may have been executed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness(Arc<AtomicU8>);

/// What may have become of a call, the least of it first.
const LEVELS: [Execution; 3] = [
    Execution::NotSent,
    Execution::NotStarted,
    Execution::MaybeExecuted,
];

impl Witness {
    /// A connection has no more to do with the call, of which this is known.
    pub(super) fn saw(&self, execution: Execution) {
        let level = LEVELS.iter().position(|level| *level == execution);
        // That one attempt was executed says nothing of all of them, and so is in doubt as well.
        let level = level.unwrap_or(LEVELS.len() - 1);
        self.0.fetch_max(level as u8, Ordering::Relaxed);
    }

    /// The most that any connection saw, once none has to do with the call any more.
    pub(crate) fn execution(&self) -> Execution {
        LEVELS[usize::from(self.0.load(Ordering::Relaxed))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempt_that_came_furthest_counts() {
        let witness = Witness::default();
        assert_eq!(witness.execution(), Execution::NotSent);
        for (saw, execution) in [
            (Execution::NotStarted, Execution::NotStarted),
            (Execution::NotSent, Execution::NotStarted),
            (Execution::Executed, Execution::MaybeExecuted),
            (Execution::NotSent, Execution::MaybeExecuted),
        ] {
            witness.saw(saw);
            assert_eq!(witness.clone().execution(), execution);
        }
    }
}
