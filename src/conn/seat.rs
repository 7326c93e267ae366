//! What one caller needs to wait.

use std::sync::Arc;

use super::{mailbox::Mailbox, shared::Shared};

/// A mailbox and the connection that it belongs to, for one call after another. A call that takes its handle's
/// seat again counts no reference to the connection, whose count all callers would fight for.
#[derive(Debug)]
pub(super) struct Seat {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
}

impl Seat {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            mailbox: Arc::default(),
        }
    }

    /// The `spare` seat if nobody sits in it, else a new one, which is then kept for the next time.
    pub(super) fn take(spare: &mut Option<Arc<Self>>, shared: &Arc<Shared>) -> Arc<Self> {
        if let Some(seat) = spare
            && Arc::get_mut(seat).is_some_and(Self::reset)
        {
            return seat.clone();
        }
        spare.insert(Arc::new(Self::new(shared.clone()))).clone()
    }

    /// Empties the mailbox, unless somebody may still put something in.
    fn reset(&mut self) -> bool {
        Arc::get_mut(&mut self.mailbox)
            .map(Mailbox::reset)
            .is_some()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }
}
