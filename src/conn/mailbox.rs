//! Where one caller waits for its answer.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};

use super::tray::Tray;
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
/// needs no lock that others want. When its result was taken it is empty again.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    closed: AtomicBool,
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
    /// Whether its call was given up, so that it can serve no other.
    pub(super) fn is_closed(&self) -> bool {
        // Relaxed: who asks knows that nobody else has it any more.
        self.closed.load(Ordering::Relaxed)
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
