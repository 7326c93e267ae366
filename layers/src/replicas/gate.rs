//! Who may call a replica, and how many do.

use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

use tokio::sync::Notify;

/// Counts the calls of a replica, and lets calls in, or one, or none.
///
/// A caller may have seen a snapshot that is no longer true. The gate decides: once it is shut, no call begins,
/// so that a connection can be let go of between two calls and not under one.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The mode, whether somebody waits for the last call to end, and above that the number of calls.
    word: AtomicUsize,
    idle: Notify,
}

/// What a caller got who was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// As any other.
    Plain,
    /// As the one whose fate decides.
    Probe,
}

const MODE: usize = 0b11;
const OPEN: usize = 0;
/// The next call is let in and shuts the gate behind it.
const ONE: usize = 1;
const SHUT: usize = 2;
const WATCHED: usize = 0b100;
const CALL: usize = 0b1000;

impl Gate {
    /// How many calls are under way.
    pub(super) fn calls(&self) -> usize {
        self.word.load(Relaxed) / CALL
    }

    /// Lets a call in, which has to [`leave`](Self::leave).
    #[inline]
    pub(super) fn enter(&self) -> Option<Pass> {
        let entered = |word: usize| match word & MODE {
            OPEN => Some(word + CALL),
            ONE => Some((word & !MODE | SHUT) + CALL),
            _ => None,
        };
        let before = self.word.fetch_update(AcqRel, Acquire, entered).ok()?;
        Some(if before & MODE == ONE {
            Pass::Probe
        } else {
            Pass::Plain
        })
    }

    #[inline]
    pub(super) fn leave(&self) {
        let before = self.word.fetch_sub(CALL, AcqRel);
        if before & WATCHED != 0 && before / CALL == 1 {
            self.idle.notify_one();
        }
    }

    /// Lets all calls in.
    pub(super) fn open(&self) {
        self.set_mode(OPEN);
    }

    /// Lets one call in.
    pub(super) fn open_for_one(&self) {
        self.set_mode(ONE);
    }

    /// Waits for a moment without calls and shuts the gate in it. For one task at a time.
    pub(super) async fn shut_when_idle(&self) {
        self.word.fetch_or(WATCHED, AcqRel);
        let shut = |word: usize| (word < CALL).then_some(word & !MODE | SHUT);
        while self.word.fetch_update(AcqRel, Acquire, shut).is_err() {
            self.idle.notified().await;
        }
    }

    fn set_mode(&self, mode: usize) {
        let set = |word: usize| Some(word & !MODE | mode);
        // It always has something to set.
        let _ = self.word.fetch_update(AcqRel, Acquire, set);
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[test]
    fn a_gate_shuts_between_two_calls_and_not_under_one() {
        let gate = Gate::default();
        assert_eq!(gate.enter(), Some(Pass::Plain));
        assert_eq!(gate.enter(), Some(Pass::Plain));
        let mut shut = task::spawn(gate.shut_when_idle());
        assert_pending!(shut.poll());
        gate.leave();
        assert_eq!((gate.enter(), gate.calls()), (Some(Pass::Plain), 2));
        gate.leave();
        assert_pending!(shut.poll());
        gate.leave();
        assert!(shut.is_woken());
        assert_ready!(shut.poll());
        assert_eq!(gate.enter(), None);
        gate.open();
        assert_eq!(gate.enter(), Some(Pass::Plain));
    }

    #[test]
    fn a_probe_is_one_call_also_while_others_are_under_way() {
        let gate = Gate::default();
        gate.enter();
        gate.open_for_one();
        assert_eq!(gate.enter(), Some(Pass::Probe));
        assert_eq!(gate.enter(), None);
        gate.leave();
        assert_eq!((gate.enter(), gate.calls()), (None, 1));
    }
}
