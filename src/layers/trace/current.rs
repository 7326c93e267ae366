//! The span of the handler that is being polled on this thread.

use std::cell::RefCell;

use super::TraceContext;

thread_local! {
    static CURRENT: RefCell<Option<TraceContext>> = const { RefCell::new(None) };
}

pub(super) fn get() -> Option<TraceContext> {
    CURRENT.with_borrow(Clone::clone)
}

/// Notes a context until it is dropped, in a panic too.
pub(super) struct Scope {
    outer: Option<TraceContext>,
}

impl Scope {
    pub(super) fn enter(context: TraceContext) -> Self {
        Self {
            outer: CURRENT.replace(Some(context)),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
    }
}
