//! What happened to each call, as its caller and its handler tell it.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use steeple::{Error, Execution, Kind, Response};
use tokio::time::Instant;

use super::{
    climate::Setting,
    plan::{Act, Plan},
};

/// Shared by everybody in a world.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) setting: Setting,
    epoch: Instant,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
pub(crate) struct Inner {
    /// By the number of their plans.
    pub(crate) records: BTreeMap<u64, Record>,
    /// Requests that nobody made, or that are not what was sent.
    pub(crate) mangled: u32,
    /// Handlers that are neither at their end nor dropped.
    pub(crate) alive: u32,
    /// Of all that happened, in order.
    trace: DefaultHasher,
}

/// Who opened a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) plan: Plan,
    pub(crate) side: Side,
    pub(crate) one_way: bool,
    /// Its bytes may change on their way.
    pub(crate) suspect: bool,
    pub(crate) deadline: Option<Instant>,
    /// How often a handler began.
    pub(crate) begun: u32,
    /// How often one ran to its end.
    pub(crate) ended: u32,
    pub(crate) end: Option<End>,
}

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    Failed {
        kind: Kind,
        execution: Execution,
        /// Whether the plan says so.
        planned: bool,
    },
    /// The caller gave up.
    Dropped,
    Detached,
}

/// A call for as long as its caller waits.
pub(crate) struct Open {
    ledger: Ledger,
    plan: Plan,
    ended: bool,
}

/// A handler for as long as its future lives.
pub(crate) struct Running {
    ledger: Ledger,
    id: u64,
}

/// How late a deadline may be: it is rounded up to a tick, and so is the timer.
const LATE: Duration = Duration::from_millis(3);

impl Ledger {
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            setting,
            epoch: Instant::now(),
            inner: Arc::default(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // What has panicked under it has said so.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that stands for all that was told.
    pub(crate) fn trace(&self) -> u64 {
        self.lock().trace.finish()
    }

    /// Tells what happened.
    pub(crate) fn tell(&self, what: fmt::Arguments<'_>) {
        let at = self.epoch.elapsed();
        let text = what.to_string();
        tracing::info!(target: "simulation", ?at, "{text}");
        (at, text).hash(&mut self.lock().trace);
    }

    /// A call, or a message without an answer, is about to be made.
    pub(crate) fn open(&self, side: Side, plan: Plan, call: Call) -> Open {
        let (one_way, left) = (call.one_way, call.deadline.map(|at| at - self.epoch));
        self.tell(format_args!(
            "{side:?} calls {plan:x?}, one-way: {one_way}, until {left:?}"
        ));
        let record = Record {
            plan,
            side,
            one_way: call.one_way,
            suspect: call.suspect,
            deadline: call.deadline,
            begun: 0,
            ended: 0,
            end: None,
        };
        let twin = self.lock().records.insert(plan.id, record);
        assert!(twin.is_none(), "a call made twice");
        Open {
            ledger: self.clone(),
            plan,
            ended: false,
        }
    }

    /// Whether the bytes of a call that came in may have changed on their way.
    pub(crate) fn is_suspect(&self, id: u64) -> bool {
        let inner = self.lock();
        inner.records.get(&id).is_none_or(|record| record.suspect)
    }

    /// A handler begins.
    pub(crate) fn begin(&self, plan: &Plan, intact: bool) -> Running {
        self.tell(format_args!("{:x} begins", plan.id));
        let mut inner = self.lock();
        inner.alive += 1;
        match inner.records.get_mut(&plan.id) {
            Some(record) if intact => record.begun += 1,
            _ => inner.mangled += 1,
        }
        Running {
            ledger: self.clone(),
            id: plan.id,
        }
    }
}

/// What is to be known of a call besides its plan.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call {
    pub(crate) one_way: bool,
    pub(crate) suspect: bool,
    pub(crate) deadline: Option<Instant>,
}

impl Open {
    /// The call has a result.
    pub(crate) fn end(mut self, result: &Result<Response, Error>) {
        let planned = self.plan.is_fulfilled_by(result);
        self.close(match result {
            Ok(_) => {
                let suspect = self.ledger.lock().records[&self.plan.id].suspect;
                assert!(planned || suspect, "another answer: {:?}", self.plan);
                End::Answered
            }
            Err(error) => {
                let (kind, execution) = (error.kind(), error.execution());
                self.ledger
                    .tell(format_args!("{:x} fails: {error:?}", self.plan.id));
                End::Failed {
                    kind,
                    execution,
                    planned,
                }
            }
        });
    }

    /// The message is on its way, or not.
    pub(crate) fn sent(mut self, result: &Result<Response, Error>) {
        self.close(match result {
            Ok(_) => End::Answered,
            Err(error) => End::Failed {
                kind: error.kind(),
                execution: error.execution(),
                planned: false,
            },
        });
    }

    /// The call goes on without its caller.
    pub(crate) fn detach(mut self) {
        self.close(End::Detached);
    }

    fn close(&mut self, end: End) {
        self.ended = true;
        self.ledger
            .tell(format_args!("{:x} ends: {end:?}", self.plan.id));
        let mut inner = self.ledger.lock();
        let record = inner.records.get_mut(&self.plan.id).unwrap();
        record.end = Some(end);
        let Some(deadline) = record.deadline else {
            return;
        };
        let now = Instant::now();
        assert!(now <= deadline + LATE, "late: {record:?}");
        if let End::Failed {
            kind: Kind::Timeout,
            ..
        } = end
        {
            // The peer counts in microseconds.
            let early = now + Duration::from_micros(1) < deadline;
            assert!(!early || record.suspect, "early: {record:?}");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.ended && !std::thread::panicking() {
            self.close(End::Dropped);
        }
    }
}

impl Running {
    /// The handler is at its end.
    pub(crate) fn end(self) {
        self.ledger.tell(format_args!("{:x} is done", self.id));
        if let Some(record) = self.ledger.lock().records.get_mut(&self.id) {
            record.ended += 1;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ledger.tell(format_args!("{:x} is gone", self.id));
        self.ledger.lock().alive -= 1;
    }
}

impl Record {
    /// Whether the answer depends on another call.
    pub(crate) fn nests(&self) -> bool {
        matches!(self.plan.act, Act::Back | Act::PassOn)
    }
}
