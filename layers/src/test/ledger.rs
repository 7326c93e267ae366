//! What a simulated service and its clones count together.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// Grants, calls and faults of one scenario.
#[derive(Debug)]
pub(super) struct Ledger {
    room: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    granted: usize,
    waiting: Vec<Waker>,
    calls: usize,
    running: usize,
    faults: Vec<String>,
}

/// The right to one call, given back on drop.
#[derive(Debug)]
pub(super) struct Grant(Arc<Ledger>);

/// A call under way, over on drop.
#[derive(Debug)]
pub(super) struct Running(Arc<Ledger>);

impl Ledger {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            state: Mutex::default(),
        }
    }

    /// A grant, or a wake-up when there is one.
    pub(super) fn grant(self: &Arc<Self>, waker: &Waker) -> Option<Grant> {
        let mut state = self.state();
        if state.granted == self.room {
            state.waiting.push(waker.clone());
            return None;
        }
        state.granted += 1;
        Some(Grant(self.clone()))
    }

    /// A call begins; how many began before it.
    pub(super) fn begin(self: &Arc<Self>) -> (usize, Running) {
        let mut state = self.state();
        state.running += 1;
        state.calls += 1;
        (state.calls - 1, Running(self.clone()))
    }

    /// Notes a fault, once.
    pub(super) fn fault(&self, what: String) {
        let mut state = self.state();
        if !state.faults.contains(&what) {
            state.faults.push(what);
        }
    }

    pub(super) fn check_all_given_back(&self, when: &str) {
        let (granted, running) = {
            let state = self.state();
            (state.granted, state.running)
        };
        if granted > 0 {
            self.fault(format!("a grant was still held {when}"));
        }
        if running > 0 {
            self.fault(format!("a call was still running {when}"));
        }
    }

    pub(super) fn faults(&self) -> Vec<String> {
        mem::take(&mut self.state().faults)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.granted -= 1;
            mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state().running -= 1;
    }
}
