//! Ids of spans and traces.

use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;

use super::TraceContext;

/// Random ids: those of the thread, or those that follow from a seed.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    seeded: Option<Arc<Mutex<Rng>>>,
}

impl Ids {
    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            seeded: Some(Arc::new(Mutex::new(Rng::with_seed(seed)))),
        }
    }

    /// A span below `parent`; without one, the first of a trace, which is sampled.
    pub(super) fn span(&self, parent: Option<&TraceContext>) -> TraceContext {
        let Some(seeded) = &self.seeded else {
            return span(&mut Rng::new(), parent);
        };
        span(
            &mut seeded.lock().unwrap_or_else(PoisonError::into_inner),
            parent,
        )
    }
}

fn span(rng: &mut Rng, parent: Option<&TraceContext>) -> TraceContext {
    loop {
        let context = match parent {
            Some(parent) => TraceContext::new(parent.trace_id(), rng.u64(..), true),
            None => TraceContext::new(rng.u128(..), rng.u64(..), true),
        };
        // An id is 0 once in 2^64 times.
        if let Some(context) = context {
            return parent.map_or(context.clone(), |parent| parent.child(context.span_id()));
        }
    }
}
