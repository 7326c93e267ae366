//! A service to be copied in the middle of a call.

use std::sync::{Mutex, PoisonError};

/// A service that is never made ready, so it holds nothing that others could want.
///
/// Behind a lock, so that what holds it goes to any thread over a service that is `Send` and not `Sync`.
#[derive(Debug)]
pub(crate) struct Spare<S>(Mutex<S>);

impl<S: Clone> Spare<S> {
    pub(crate) fn new(service: &S) -> Self {
        Self(Mutex::new(service.clone()))
    }

    /// A service that is not ready.
    pub(crate) fn service(&self) -> S {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.clone()
    }
}

impl<S: Clone> Clone for Spare<S> {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.service()))
    }
}
