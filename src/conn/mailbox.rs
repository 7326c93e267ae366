//! Where one caller waits for its answer.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering, fence},
    },
    task::{Poll, Waker},
};

use super::{shared::Shared, tray::Tray};
use crate::{Body, Error, Response};

/// What becomes of a call.
pub(crate) type CallResult = Result<Response<Body>, Error>;

/// Who is given the answer to a call.
#[derive(Debug)]
pub(super) enum Recipient {
    /// One caller.
    Caller(Arc<Mailbox>),
    /// A batch, of which the call is the one with this number.
    Batch(Arc<Tray>, u32),
}

/// The one thing that a caller shares with the driver and with nobody else: to wait and to take the answer it
/// needs no lock that others want. When its result was taken it is empty again, for the next call of the same
/// handle: which then counts no reference to the connection, whose count all callers would fight for.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    closed: AtomicBool,
    connection: Weak<Shared>,
}

#[derive(Debug, Default)]
enum Mail {
    /// Nothing has come yet.
    #[default]
    Empty,
    /// Nothing has come yet, and this is whom to wake.
    Waited(Waker),
    /// The result, to be taken.
    Here(CallResult),
    /// Nobody wants anything any more.
    Closed,
}

impl Recipient {
    /// Hands the answer over and notes whom to wake. To be called without any other lock.
    pub(super) fn deliver(&self, answer: CallResult, wakers: &mut Vec<Waker>) {
        match self {
            Self::Caller(mailbox) => wakers.extend(mailbox.deliver(answer)),
            Self::Batch(tray, number) => tray.deliver(*number, answer, wakers),
        }
    }
}

impl From<&Arc<Mailbox>> for Recipient {
    fn from(mailbox: &Arc<Mailbox>) -> Self {
        Self::Caller(mailbox.clone())
    }
}

impl From<(&Arc<Tray>, u32)> for Recipient {
    fn from((tray, number): (&Arc<Tray>, u32)) -> Self {
        Self::Batch(tray.clone(), number)
    }
}

impl Mailbox {
    fn new(connection: &Arc<Shared>) -> Self {
        Self {
            connection: Arc::downgrade(connection),
            ..Self::default()
        }
    }

    /// The `spare` mailbox if nobody else has it, else a new one, which is then kept for the next time.
    pub(super) fn take(spare: &mut Option<Arc<Self>>, connection: &Arc<Shared>) -> Arc<Self> {
        match spare {
            Some(mailbox) if mailbox.is_free() => mailbox.clone(),
            spare => spare.insert(Arc::new(Self::new(connection))).clone(),
        }
    }

    /// Whether another call can wait here: nobody else knows of it, and the last call was not given up.
    fn is_free(self: &Arc<Self>) -> bool {
        let unknown = Arc::strong_count(self) == 1;
        // What the others did before they let go of it is seen below. Each new reference is made of this one.
        fence(Ordering::Acquire);
        unknown && !self.closed.load(Ordering::Relaxed)
    }

    /// The connection of its call; `None` once that is gone with all who knew of it.
    pub(super) fn connection(&self) -> Option<Arc<Shared>> {
        self.connection.upgrade()
    }

    /// The result, or a promise to wake whoever waits for it.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<CallResult> {
        // Dropped past the lock: it may run code of the user's.
        let _old;
        let mut mail = self.lock();
        match &*mail {
            Mail::Waited(old) if old.will_wake(waker) => return Poll::Pending,
            Mail::Empty | Mail::Waited(_) => {
                _old = mem::replace(&mut *mail, Mail::Waited(waker.clone()));
                return Poll::Pending;
            }
            Mail::Here(_) | Mail::Closed => {}
        }
        match mem::take(&mut *mail) {
            Mail::Here(result) => Poll::Ready(result),
            _ => unreachable!("a mailbox is closed by the one who polls it"),
        }
    }

    /// Puts the result in and returns whom to wake. To be called without any other lock: if nobody wants the
    /// result, it is dropped here.
    pub(super) fn deliver(&self, result: CallResult) -> Option<Waker> {
        let mut mail = self.lock();
        if let Mail::Closed = *mail {
            drop(mail);
            return None;
        }
        match mem::replace(&mut *mail, Mail::Here(result)) {
            Mail::Waited(waker) => Some(waker),
            _ => None,
        }
    }

    /// Nobody waits any more. Whether the result had not come.
    pub(super) fn close(&self) -> bool {
        self.closed.store(true, Ordering::Relaxed);
        let old = mem::replace(&mut *self.lock(), Mail::Closed);
        matches!(old, Mail::Empty | Mail::Waited(_))
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
