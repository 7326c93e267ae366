//! What a connection counts.

use std::{fmt, ops::AddAssign};

use crate::{Body, Kind, wire::compression};

/// Counters of one connection, or the sum of several. A consistent copy; nothing resets them: to count anew, keep a
/// copy and ask what has come [`since`](Self::since).
///
/// The last five are of those that make connections, a [`Connector`](crate::Connector) and a
/// [`Server`](crate::Server): for a connection alone they are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls that this side opened, by how they ended.
    pub calls: Outcomes,
    /// Calls of the peer, by what this side answered.
    pub served: Outcomes,
    /// Messages without an answer that this side sent.
    pub one_way_sent: u64,
    /// Messages without an answer that this side was given.
    pub one_way_received: u64,
    /// Messages without an answer that no handler has seen: too many waited, the service or a limit refused them, or
    /// their deadline had passed.
    pub one_way_dropped: u64,
    /// Values or errors that handlers returned to messages without an answer.
    pub one_way_answers: u64,
    /// Answers to calls that had ended, or to none.
    pub late_answers: u64,
    /// Cancels of calls that had ended, or of none.
    pub late_cancels: u64,
    /// Bodies that went out compressed.
    pub compressed: u64,
    /// Bytes that this saved.
    pub compression_saved: u64,
    /// Bodies that were to be compressed and went out as they were: the peer does not decode that, or has not said
    /// so yet.
    pub compression_refused: u64,
    /// Bytes read from the stream.
    pub bytes_read: u64,
    /// Bytes that the stream took.
    pub bytes_written: u64,
    /// Reads of the stream that gave bytes.
    pub read_calls: u64,
    /// Writes to the stream that took bytes.
    pub write_calls: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Calls of this side that were sent and not answered yet.
    pub in_flight: u64,
    /// Calls of this side that wait to be sent.
    pub pending: u64,
    /// Handlers of this side that run in a task of their own, and requests that wait for one.
    pub handling: u64,
    /// Dials of a connector that gave a connection. One that is dropped before its end counts here no more
    /// than among the errors.
    pub dials: u64,
    /// Dials of a connector that failed.
    pub dial_errors: u64,
    /// Accepts of a server that gave a connection.
    pub accepts: u64,
    /// Accepts of a server that failed.
    pub accept_errors: u64,
    /// Connections that a server refused.
    pub refusals: u64,
}

/// How many calls ended well, and how many with each [`Kind`] of error.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    ok: u64,
    errors: [u64; Kind::ALL.len()],
}

impl Outcomes {
    /// Calls that ended well.
    pub fn ok(&self) -> u64 {
        self.ok
    }

    /// Calls that ended with an error of this kind.
    pub fn errors(&self, kind: Kind) -> u64 {
        self.errors[kind.index()]
    }

    /// All calls that ended.
    pub fn total(&self) -> u64 {
        self.ok + self.errors.iter().sum::<u64>()
    }

    pub(crate) fn count(&mut self, outcome: Result<(), Kind>) {
        match outcome {
            Ok(()) => self.ok += 1,
            Err(kind) => self.errors[kind.index()] += 1,
        }
    }

    fn merge(&mut self, other: Self, by: fn(u64, u64) -> u64) {
        self.ok = by(self.ok, other.ok);
        for (mine, other) in self.errors.iter_mut().zip(other.errors) {
            *mine = by(*mine, other);
        }
    }
}

/// Prints the kinds that occurred.
impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        map.entry(&"ok", &self.ok);
        for kind in Kind::ALL {
            if self.errors(kind) > 0 {
                map.entry(&kind, &self.errors(kind));
            }
        }
        map.finish()
    }
}

impl Stats {
    /// What has been counted since an `earlier` copy of the same counters. What is there now – [in
    /// flight](Self::in_flight), [pending](Self::pending), [handled](Self::handling) – stays what it is.
    ///
    /// ```
    /// # fn example(client: steeple::Client) {
    /// let before = client.stats();
    /// // ... a minute later:
    /// let minute = client.stats().since(&before);
    /// println!("{} calls, {} bytes", minute.calls.total(), minute.bytes_written);
    /// # }
    /// ```
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        self.merge(*earlier, u64::saturating_sub);
        self
    }

    /// Puts each counter together with the same one of `other`. What is no counter stays.
    fn merge(&mut self, other: Self, by: fn(u64, u64) -> u64) {
        let Self {
            calls,
            served,
            one_way_sent,
            one_way_received,
            one_way_dropped,
            one_way_answers,
            late_answers,
            late_cancels,
            compressed,
            compression_saved,
            compression_refused,
            bytes_read,
            bytes_written,
            read_calls,
            write_calls,
            read_errors,
            write_errors,
            in_flight: _,
            pending: _,
            handling: _,
            dials,
            dial_errors,
            accepts,
            accept_errors,
            refusals,
        } = other;
        self.calls.merge(calls, by);
        self.served.merge(served, by);
        for (mine, other) in [
            (&mut self.one_way_sent, one_way_sent),
            (&mut self.one_way_received, one_way_received),
            (&mut self.one_way_dropped, one_way_dropped),
            (&mut self.one_way_answers, one_way_answers),
            (&mut self.late_answers, late_answers),
            (&mut self.late_cancels, late_cancels),
            (&mut self.compressed, compressed),
            (&mut self.compression_saved, compression_saved),
            (&mut self.compression_refused, compression_refused),
            (&mut self.bytes_read, bytes_read),
            (&mut self.bytes_written, bytes_written),
            (&mut self.read_calls, read_calls),
            (&mut self.write_calls, write_calls),
            (&mut self.read_errors, read_errors),
            (&mut self.write_errors, write_errors),
            (&mut self.dials, dials),
            (&mut self.dial_errors, dial_errors),
            (&mut self.accepts, accepts),
            (&mut self.accept_errors, accept_errors),
            (&mut self.refusals, refusals),
        ] {
            *mine = by(*mine, other);
        }
    }

    /// Counts how a body went out.
    pub(super) fn count_body(&mut self, body: &Body) {
        if body.is_compressed() {
            self.compressed += 1;
            self.compression_saved += compression::plain_len(body) - body.len() as u64;
        } else if body.compression().is_some() {
            self.compression_refused += 1;
        }
    }
}

impl AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.merge(other, |mine, other| mine + other);
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.merge(other, |mine, other| mine + other);
        self.in_flight += other.in_flight;
        self.pending += other.pending;
        self.handling += other.handling;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_kind_and_add_up() {
        let mut outcomes = Outcomes::default();
        outcomes.count(Ok(()));
        outcomes.count(Err(Kind::Timeout));
        outcomes += outcomes;
        assert_eq!(
            (
                outcomes.ok(),
                outcomes.errors(Kind::Timeout),
                outcomes.total()
            ),
            (2, 2, 4)
        );
        assert_eq!(format!("{outcomes:?}"), r#"{"ok": 2, Timeout: 2}"#);
    }

    #[test]
    fn what_has_come_since_is_the_difference_and_what_is_there_stays() {
        let mut before = Stats {
            bytes_read: 3,
            in_flight: 2,
            ..Stats::default()
        };
        before.calls.count(Ok(()));
        let mut now = before;
        now += before;
        assert_eq!((now.in_flight, now.bytes_read), (4, 6));
        let since = now.since(&before);
        assert_eq!((since.calls.ok(), since.bytes_read), (1, 3));
        assert_eq!(since.in_flight, 4);
        assert_eq!(now.since(&now).calls, Outcomes::default());
    }
}
