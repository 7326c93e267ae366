//! What one caller needs to wait.

use std::sync::{
    Arc,
    atomic::{Ordering, fence},
};

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
        match spare {
            Some(seat) if seat.is_free() => seat.clone(),
            spare => spare.insert(Arc::new(Self::new(shared.clone()))).clone(),
        }
    }

    /// Whether another call can wait here: nobody else knows of it, and the last call was not given up.
    fn is_free(self: &Arc<Self>) -> bool {
        let unknown = Arc::strong_count(self) == 1 && Arc::strong_count(&self.mailbox) == 1;
        // What the others did before they let go of it is seen below. Each new reference is made of this one.
        fence(Ordering::Acquire);
        unknown && !self.mailbox.is_closed()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }
}
