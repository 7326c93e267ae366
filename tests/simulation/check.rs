//! What must be true at the end of a world.

use std::time::Duration;

use steeple::{Execution, Kind, Stats};
use tokio::time::sleep;

use super::{
    census,
    climate::Climate,
    ledger::{End, Ledger, Record, Side},
    plan::Act,
};

/// The calls that have not ended.
pub(crate) fn waiting(ledger: &Ledger) -> Vec<Record> {
    let inner = ledger.lock();
    let waiting = inner.records.values().filter(|record| record.end.is_none());
    waiting.cloned().collect()
}

/// Waits until handlers have begun for whatever nobody waits for, and until they are done.
pub(crate) async fn all_is_quiet(ledger: &Ledger) {
    // Where it is tight, what nobody waits for may be refused, and nobody is told.
    let calm = ledger.setting.climate == Climate::Calm;
    let is_on_its_way = |record: &Record| {
        let alone = match record.end {
            Some(End::Answered) => record.one_way,
            Some(End::Detached) => record.deadline.is_none(),
            _ => false,
        };
        calm && alone && record.begun == 0 && record.plan.act != Act::Refuse
    };
    loop {
        sleep(Duration::from_millis(200)).await;
        let inner = ledger.lock();
        if inner.alive == 0 && !inner.records.values().any(is_on_its_way) {
            return;
        }
    }
}

/// What each caller was told is what its handler did.
pub(crate) fn records(ledger: &Ledger) {
    assert!(waiting(ledger).is_empty(), "{:#?}", waiting(ledger));
    let inner = ledger.lock();
    assert_eq!(inner.alive, 0, "handlers were not dropped");
    let climate = ledger.setting.climate;
    if climate != Climate::Corrupt {
        assert_eq!(inner.mangled, 0, "requests are not what was sent");
    }
    for record in inner.records.values() {
        census::saw_end(record);
        // Of what was changed on its way nothing is sure but that it ended.
        if record.suspect {
            continue;
        }
        let wrong = wrong_execution(record).or_else(|| wrong_end(climate, record));
        if let Some(what) = wrong {
            panic!("{what}: {record:#?}");
        }
    }
}

/// The counters of one side, when all is over.
pub(crate) fn stats(ledger: &Ledger, side: Side, stats: Stats) {
    ledger.tell(format_args!("{side:?}: {stats:?}"));
    assert_eq!((stats.in_flight, stats.pending, stats.handling), (0, 0, 0));
    let inner = ledger.lock();
    let records = || inner.records.values().filter(|record| record.side == side);
    let calls = records().filter(|record| !record.one_way);
    let sent = records().filter(|record| record.one_way && record.end == Some(End::Answered));
    // What was called on a peer when its connection was over, its server no longer counts.
    let uncounted = match side {
        Side::Client => 0,
        Side::Server => calls
            .clone()
            .filter(|record| may_be_uncounted(record))
            .count(),
    };
    let called = calls.clone().count();
    let counted = stats.calls.total() as usize;
    assert!(
        (called - uncounted..=called).contains(&counted),
        "{counted} of {called}"
    );
    assert_eq!(stats.one_way_sent, sent.count() as u64);

    let answered = calls
        .clone()
        .filter(|record| record.end == Some(End::Answered));
    assert!(stats.calls.ok() >= answered.count() as u64);
    for kind in Kind::ALL {
        let failed = calls.clone().filter(
            |record| matches!(record.end, Some(End::Failed { kind: of, .. }) if of == kind),
        );
        let counted = stats.calls.errors(kind) as usize;
        assert!(counted + uncounted >= failed.count(), "{kind}");
    }
}

fn may_be_uncounted(record: &Record) -> bool {
    match record.end {
        Some(End::Failed { execution, .. }) => execution == Execution::NotSent,
        Some(End::Dropped | End::Detached) => true,
        Some(End::Answered) | None => false,
    }
}

/// Whether the caller was told something about the handler that is not so.
fn wrong_execution(record: &Record) -> Option<&'static str> {
    let (begun, ended) = (record.begun, record.ended);
    if begun > 1 {
        return Some("a handler began twice");
    }
    let execution = match record.end? {
        End::Answered if record.one_way => return None,
        End::Answered => Execution::Executed,
        End::Failed { execution, .. } => execution,
        End::Dropped | End::Detached => return None,
    };
    match execution {
        Execution::NotSent | Execution::NotStarted if begun > 0 => {
            Some("a call is said not to have run, and did")
        }
        Execution::Executed if (begun, ended) != (1, 1) => {
            Some("a call is said to have run, and did not")
        }
        _ => None,
    }
}

/// Whether a call ended otherwise than it had to.
fn wrong_end(climate: Climate, record: &Record) -> Option<&'static str> {
    let End::Failed {
        kind,
        execution,
        planned,
    } = record.end?
    else {
        return None;
    };
    let timed_out = kind == Kind::Timeout && record.deadline.is_some();
    if planned || timed_out {
        return None;
    }
    let fair = match climate {
        // A message that nobody answers does not wait, neither for room nor for the peer to open.
        Climate::Calm if record.one_way => matches!(kind, Kind::Overflow | Kind::Unavailable),
        Climate::Calm => false,
        Climate::Tight | Climate::Drain => execution != Execution::MaybeExecuted || record.nests(),
        Climate::Storm | Climate::Corrupt => true,
    };
    (!fair).then_some("a call has failed, and nothing was in its way")
}
