//! What connections may have together.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::expansion::MAX_EXPANDED;
use crate::{Error, Execution, Kind, wire::Budget};

/// Limits on what several connections use together. Clones are the same quota; a server has one of its own unless
/// [given](crate::Options::quota) another.
///
/// ```
/// use steeple::{
///     Options,
///     conn::{Excess, Quota},
/// };
///
/// let quota = Quota::new().max_handlers(100, Excess::Refuse);
/// let options = Options::new().quota(quota);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a quota does nothing until connections share it"]
pub struct Quota {
    handlers: Arc<Semaphore>,
    max_handlers: usize,
    excess: Excess,
    unsent: Sum,
    waiting: Sum,
    expanded: Budget,
}

/// Bytes of all connections together, as they have told: each in steps of [`TOLD`].
#[derive(Clone, Debug)]
struct Sum {
    bytes: Arc<AtomicUsize>,
    max: usize,
}

/// What happens to what comes above a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Excess {
    /// It waits its turn.
    Wait,
    /// It is told why it is not wanted.
    Refuse,
}

/// The part of one connection.
pub(super) struct Share {
    quota: Option<Quota>,
    /// Leave for one handler, kept between two that end where they begin.
    spare: Option<Leave>,
    /// The place among those that wait for leave.
    queued: Option<Queued>,
    /// What was told of unsent answers, and of requests that wait.
    unsent: usize,
    waiting: usize,
}

/// Leave to run one handler, for as long as it is kept.
pub(super) type Leave = OwnedSemaphorePermit;

type Queued = Pin<Box<dyn Future<Output = Result<Leave, AcquireError>> + Send + Sync>>;

/// In what steps connections tell what they hold, in bytes: large enough that those who send small messages, and are
/// read, never touch what all share.
const TOLD: usize = 64 * 1024;

/// With so many places free, leave is taken only for handlers that go on in a task: the others end before the thread
/// does anything else, so there are never more of them than threads, of which no process has so many. What all
/// connections share is then only read, and stays in the cache of every core.
const PLENTY: usize = 512;

impl Quota {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            handlers: Arc::new(Semaphore::new(8192)),
            max_handlers: 8192,
            excess: Excess::Wait,
            unsent: Sum::new(1024 * 1024 * 1024),
            waiting: Sum::new(1024 * 1024 * 1024),
            expanded: Budget::new(MAX_EXPANDED),
        }
    }

    /// How many handlers may run. Default: 8192, at least 1, and further requests wait: decoded, in their
    /// connection's queue, which is [bounded](crate::Options::max_waiting). Connections take turns. Where it
    /// refuses, requests are answered at once that they were not started.
    ///
    /// A handler that calls its own server holds a place while it waits for another: with many of those the
    /// limit has to be higher than their number, or all wait for each other.
    pub fn max_handlers(mut self, handlers: usize, excess: Excess) -> Self {
        self.max_handlers = handlers.clamp(1, Semaphore::MAX_PERMITS);
        self.handlers = Arc::new(Semaphore::new(self.max_handlers));
        self.excess = excess;
        self
    }

    /// How many bytes of answers may be unsent. Default: 1 GiB. Above it a connection that has 64 KiB of its own
    /// unsent starts no further handler: those whose peers read are not held up by those whose peers do not.
    pub fn max_unsent(mut self, bytes: usize) -> Self {
        self.unsent.max = bytes;
        self
    }

    /// How many bytes of requests may wait, with what it takes to keep them. Default: 1 GiB. Above it a connection that
    /// has 64 KiB of them waits for none further: they are answered at once that they were not started. So those who call
    /// little are not refused for those who flood.
    pub fn max_waiting(mut self, bytes: usize) -> Self {
        self.waiting.max = bytes;
        self
    }

    /// How many bytes the bodies of requests may take that came compressed and whose handlers run. Default: 1 GiB.
    /// Further ones are answered that they were not started. Some thousand compressed bytes can stand for 64 MiB, so it
    /// is this that keeps a peer from taking all the memory there is.
    pub fn max_expanded(mut self, bytes: usize) -> Self {
        self.expanded = Budget::new(bytes);
        self
    }

    pub(super) fn expanded(&self) -> &Budget {
        &self.expanded
    }

    /// How many handlers run now. Those that end at once count only where the limit is near.
    pub fn handlers(&self) -> usize {
        self.max_handlers - self.handlers.available_permits()
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self::new()
    }
}

impl Share {
    pub(super) fn new(quota: Option<Quota>) -> Self {
        Self {
            quota,
            spare: None,
            queued: None,
            unsent: 0,
            waiting: 0,
        }
    }

    /// Whether the unsent answers of all allow this connection another.
    pub(super) fn has_room(&self) -> bool {
        let quota = self.quota.as_ref();
        self.unsent == 0 || quota.is_none_or(|quota| !quota.unsent.is_over())
    }

    /// Whether the requests that wait on all connections allow this one another.
    pub(super) fn check_waiting(&self) -> Result<(), Error> {
        match &self.quota {
            Some(Quota { waiting, .. }) if self.waiting > 0 && waiting.is_over() => {
                let max = waiting.max;
                let text = format!("max_waiting of {max} bytes of all connections is reached");
                Err(Error::new(Kind::Overflow, text).with_execution(Execution::NotStarted))
            }
            _ => Ok(()),
        }
    }

    /// Gets leave for a handler, or a place in the queue for it.
    pub(super) fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(quota) = &self.quota else {
            return Poll::Ready(Ok(()));
        };
        if self.spare.is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.queued.is_none() {
            if quota.handlers.available_permits() > PLENTY {
                return Poll::Ready(Ok(()));
            }
            if let Ok(leave) = quota.handlers.clone().try_acquire_owned() {
                self.spare = Some(leave);
                return Poll::Ready(Ok(()));
            }
            if quota.excess == Excess::Refuse {
                let text = format!("max_handlers of {} is reached", quota.max_handlers);
                let error = Error::new(Kind::Overflow, text);
                return Poll::Ready(Err(error.with_execution(Execution::NotStarted)));
            }
        }
        let handlers = &quota.handlers;
        let queued = self
            .queued
            .get_or_insert_with(|| Box::pin(handlers.clone().acquire_owned()));
        let leave = ready!(queued.as_mut().poll(cx));
        self.queued = None;
        // It is never closed.
        self.spare = leave.ok();
        Poll::Ready(Ok(()))
    }

    /// Takes the leave away, for a handler that goes on elsewhere.
    pub(super) fn take_leave(&mut self) -> Option<Leave> {
        let quota = self.quota.as_ref()?;
        let spare = self.spare.take();
        spare.or_else(|| quota.handlers.clone().try_acquire_owned().ok())
    }

    /// Gives back what is not used now, and the place in the queue as well unless it is of use.
    pub(super) fn settle(&mut self, keep_place: bool) {
        self.spare = None;
        if !keep_place {
            self.queued = None;
        }
    }

    /// Tells how many bytes of answers are unsent. Whether that is noticeably less than before.
    pub(super) fn set_unsent(&mut self, bytes: usize) -> bool {
        let quota = self.quota.as_ref();
        quota.is_some_and(|quota| quota.unsent.tell(&mut self.unsent, bytes))
    }

    /// Tells how many bytes of requests wait.
    pub(super) fn set_waiting(&mut self, bytes: usize) {
        if let Some(quota) = &self.quota {
            quota.waiting.tell(&mut self.waiting, bytes);
        }
    }
}

impl Sum {
    fn new(max: usize) -> Self {
        Self {
            bytes: Arc::default(),
            max,
        }
    }

    fn is_over(&self) -> bool {
        // Relaxed: a sum that is a moment old serves as well.
        self.bytes.load(Ordering::Relaxed) > self.max
    }

    /// Brings what was told by one connection up to date. Whether it is noticeably less than before.
    fn tell(&self, told: &mut usize, bytes: usize) -> bool {
        let now = bytes - bytes % TOLD;
        let before = std::mem::replace(told, now);
        if now > before {
            self.bytes.fetch_add(now - before, Ordering::Relaxed);
        } else if now < before {
            self.bytes.fetch_sub(before - now, Ordering::Relaxed);
        }
        now < before
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set_unsent(0);
        self.set_waiting(0);
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("unsent", &self.unsent)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready_ok, task};

    use super::*;

    fn asks(share: &mut Share) -> task::Spawn<impl Future<Output = Result<(), Error>>> {
        task::spawn(std::future::poll_fn(|cx| share.poll_leave(cx)))
    }

    #[test]
    fn connections_take_turns() {
        let quota = Quota::new().max_handlers(1, Excess::Wait);
        let [mut a, mut b] = [(); 2].map(|()| Share::new(Some(quota.clone())));
        assert_ready_ok!(asks(&mut a).poll());
        let handler = a.take_leave();
        assert_pending!(asks(&mut b).poll());
        assert_pending!(asks(&mut a).poll());
        drop(handler);
        assert_pending!(asks(&mut a).poll());
        assert_ready_ok!(asks(&mut b).poll());
        assert_eq!(quota.handlers(), 1);
        b.settle(true);
        assert_ready_ok!(asks(&mut a).poll());
    }

    #[test]
    fn where_there_is_plenty_only_handlers_that_go_on_are_counted() {
        let quota = Quota::new().max_handlers(PLENTY + 1, Excess::Wait);
        let mut share = Share::new(Some(quota.clone()));
        assert_ready_ok!(asks(&mut share).poll());
        assert_eq!(quota.handlers(), 0);
        let _handler = share.take_leave();
        assert_eq!(quota.handlers(), 1);
        assert_ready_ok!(asks(&mut share).poll());
        assert_eq!(quota.handlers(), 2, "the limit is near");
        share.settle(false);
        assert_eq!(quota.handlers(), 1);
    }

    #[test]
    fn who_leaves_the_queue_passes_its_turn_on() {
        let quota = Quota::new().max_handlers(1, Excess::Wait);
        let [mut a, mut b, mut c] = [(); 3].map(|()| Share::new(Some(quota.clone())));
        assert_ready_ok!(asks(&mut a).poll());
        assert_pending!(asks(&mut b).poll());
        assert_pending!(asks(&mut c).poll());
        a.settle(false);
        b.settle(false);
        assert_ready_ok!(asks(&mut c).poll());
    }

    #[test]
    fn only_those_with_unsent_answers_of_their_own_are_held_up() {
        let quota = Quota::new().max_unsent(TOLD);
        let [mut a, mut b] = [(); 2].map(|()| Share::new(Some(quota.clone())));
        a.set_unsent(TOLD);
        assert!(a.has_room());
        a.set_unsent(3 * TOLD);
        b.set_unsent(TOLD - 1);
        assert!(!a.has_room() && b.has_room());
        b.set_unsent(TOLD);
        assert!(!b.has_room());
        drop(a);
        assert!(b.has_room());
    }

    #[test]
    fn only_those_whose_requests_wait_are_refused_when_too_many_wait() {
        let quota = Quota::new().max_waiting(TOLD);
        let [mut a, mut b] = [(); 2].map(|()| Share::new(Some(quota.clone())));
        a.set_waiting(TOLD);
        a.check_waiting().unwrap();
        a.set_waiting(2 * TOLD);
        b.set_waiting(TOLD - 1);
        let error = a.check_waiting().unwrap_err();
        assert_eq!(error.execution(), Execution::NotStarted);
        b.check_waiting().unwrap();
        b.set_waiting(TOLD);
        b.check_waiting().unwrap_err();
        drop(a);
        b.check_waiting().unwrap();
    }
}
