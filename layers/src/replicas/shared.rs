//! What the tasks of a set and its handles have in common.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, time::Instant};

use super::{options::Options, snapshot::Snapshot, table::Table};

/// The state of a set.
pub(super) struct Shared<S> {
    pub(super) options: Options,
    pub(super) snapshot: Arc<ArcSwap<Snapshot<S>>>,
    /// Rings when there is a new snapshot.
    pub(super) published: Arc<Notify>,
    /// Rings when anything has changed.
    pub(super) changed: Arc<Notify>,
    pub(super) waiting: Waiting,
    table: Mutex<Table<S>>,
}

/// Who waits for a replica: as long as somebody does, the set is in use.
#[derive(Debug)]
pub(super) struct Waiting {
    count: AtomicUsize,
    /// When somebody last stopped.
    last: Mutex<Instant>,
}

/// What the handles of a set want of it. When all are dropped, its connections end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// No connections, until there is a call.
    Idle,
    /// Connections.
    Run,
    /// To end in order.
    Drain,
    /// To end at once.
    Close,
}

impl<S> Shared<S> {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty())),
            published: Arc::default(),
            changed: Arc::default(),
            waiting: Waiting {
                count: AtomicUsize::new(0),
                last: Mutex::new(Instant::now()),
            },
            table: Mutex::new(Table::new()),
        }
    }

    /// Looks into the table.
    pub(super) fn read<R>(&self, look: impl FnOnce(&Table<S>) -> R) -> R {
        look(&self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Waiting {
    pub(super) fn begin(&self) {
        self.count.fetch_add(1, SeqCst);
    }

    pub(super) fn end(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.count.fetch_sub(1, SeqCst);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(SeqCst) == 0
    }

    pub(super) fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Clone> Shared<S> {
    /// Changes the table, and publishes a snapshot if calls have to know of it.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut Table<S>) -> R) -> R {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut table);
        let old = self.snapshot.load();
        let new = table.snapshot(old.version + 1, &self.options);
        let is_new = !new.is_like(&old);
        if is_new {
            self.snapshot.store(Arc::new(new));
        }
        drop(table);
        if is_new {
            self.published.notify_waiters();
        }
        self.changed.notify_waiters();
        result
    }
}
