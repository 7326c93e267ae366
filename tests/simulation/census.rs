//! What has happened in all worlds of a test together: worlds in which nothing goes wrong prove nothing.

use std::{cell::RefCell, collections::BTreeMap};

use steeple::Execution;

use super::ledger::{End, Record, Side};

/// What happens in five hundred worlds. Each did so more than fifty times when this was written.
const EXPECTED: [&str; 29] = [
    "Client answered",
    "Client detached",
    "Client dropped",
    "Client executed",
    "Client maybe executed",
    "Client not sent",
    "Client not started",
    "Client one-way",
    "Server answered",
    "Server detached",
    "Server dropped",
    "Server executed",
    "Server maybe executed",
    "Server not sent",
    "Server not started",
    "Server one-way",
    "bandwidth",
    "capacity",
    "clear",
    "corrupt",
    "cut",
    "jitter",
    "kill",
    "kill after",
    "latency",
    "partition",
    "refuse",
    "swallow",
    "torn",
];

/// Less often than this, something has all but stopped happening.
const LEAST: u64 = 20;

thread_local! {
    static SEEN: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Forgets what has happened on this thread, which is where a test runs its worlds.
pub(crate) fn begin() {
    SEEN.take();
}

/// Something has happened.
pub(crate) fn saw(what: &str) {
    SEEN.with_borrow_mut(|seen| match seen.get_mut(what) {
        Some(count) => *count += 1,
        None => drop(seen.insert(what.into(), 1)),
    });
}

/// A call has ended.
pub(crate) fn saw_end(record: &Record) {
    let side = match record.side {
        Side::Client => "Client",
        Side::Server => "Server",
    };
    let end = match record.end {
        _ if record.one_way => "one-way",
        None => return,
        Some(End::Answered) => "answered",
        Some(End::Dropped) => "dropped",
        Some(End::Detached) => "detached",
        Some(End::Failed { execution, .. }) => match execution {
            Execution::Executed => "executed",
            Execution::MaybeExecuted => "maybe executed",
            Execution::NotSent => "not sent",
            Execution::NotStarted => "not started",
        },
    };
    saw(&format!("{side} {end}"));
}

/// All that should happen has happened often enough.
pub(crate) fn assert_complete() {
    let seen = SEEN.take();
    let count = |what: &str| seen.get(what).copied().unwrap_or(0);
    let rare: Vec<_> = EXPECTED.iter().filter(|it| count(it) < LEAST).collect();
    assert!(rare.is_empty(), "{rare:?} happened too seldom: {seen:#?}");
}
