//! Counts what was expected and what was not, and prints both.

use std::{fmt::Display, iter, process::ExitCode, time::Duration};

use steeple::{Channel, Kind, ServerHandle, Stats, conn::Outcomes};

use crate::verdict::Verdict;

/// The account of one run.
pub(crate) struct Account {
    client: Channel,
    server: ServerHandle,
    expected: Vec<(Result<(), Kind>, u64)>,
    wrong: usize,
}

/// What both sides had counted at one moment.
pub(crate) struct Traffic {
    client: Stats,
    server: Stats,
}

/// More writes than this for each call are too many while calls are pipelined. Few are usual: about 0.02.
const MOST_WRITES: f64 = 0.1;

/// How many wrong answers are told in full.
const TOLD: usize = 10;

impl Account {
    pub(crate) fn open(client: &Channel, server: &ServerHandle) -> Self {
        println!("a server at {}, one connection to it\n", server.address());
        Self {
            client: client.clone(),
            server: server.clone(),
            expected: Vec::new(),
            wrong: 0,
        }
    }

    /// The title of what follows.
    pub(crate) fn act(&self, name: &str, text: impl Display) {
        println!("{name:<22} {text}");
    }

    /// A line of the act.
    fn line(&self, text: impl Display) {
        println!("{:<22} {text}", "");
    }

    pub(crate) fn rate(&self, calls: usize, took: Duration) {
        let rate = grouped((calls as f64 / took.as_secs_f64()) as u64);
        self.line(format!(
            "{} calls in {took:.2?}: {rate} calls/s",
            grouped(calls as u64)
        ));
    }

    pub(crate) fn latencies(&self, verdicts: &[Verdict<Duration>]) {
        let mut times: Vec<_> = verdicts.iter().flatten().collect();
        times.sort();
        let at = |part: f64| times.get((times.len() as f64 * part) as usize);
        if let (Some(half), Some(most)) = (at(0.5), at(0.99)) {
            self.line(format!("latency p50 {half:.1?}, p99 {most:.1?}"));
        }
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            client: self.client.stats(),
            server: self.server.stats(),
        }
    }

    /// Prints how many writes and bytes a call took since `before`; too many writes are wrong.
    pub(crate) fn few_writes(&mut self, before: &Traffic, calls: usize) {
        let now = self.traffic();
        for (side, before, now) in [
            ("client", &before.client, &now.client),
            ("server", &before.server, &now.server),
        ] {
            let writes = (now.write_calls - before.write_calls) as f64 / calls as f64;
            let bytes = (now.bytes_written - before.bytes_written) as f64 / calls as f64;
            self.line(format!(
                "{side}: {writes:.3} writes and {bytes:.1} bytes for each call"
            ));
            if writes > MOST_WRITES {
                self.wrong(format!("more than {MOST_WRITES} writes for each call"));
            }
        }
    }

    /// Enters calls that were expected to end with `outcome`.
    pub(crate) fn answered<T>(
        &mut self,
        outcome: Result<(), Kind>,
        verdicts: impl IntoIterator<Item = Verdict<T>>,
    ) {
        let mut count = 0u64;
        for verdict in verdicts {
            count += 1;
            if let Err(text) = verdict {
                self.wrong(text);
            }
        }
        self.expected.push((outcome, count));
    }

    /// Tells of something that went wrong.
    pub(crate) fn wrong(&mut self, text: impl Display) {
        self.wrong += 1;
        if self.wrong <= TOLD {
            self.line(format!("WRONG: {text}"));
        }
    }

    /// Compares what was expected with what both sides have counted, and says whether all was well.
    pub(crate) fn close(mut self) -> ExitCode {
        println!(
            "\n{:<22}{:>12}{:>12}{:>12}",
            "calls", "expected", "client", "server"
        );
        let (client, server) = (self.client.stats().calls, self.server.stats().served);
        let all = rows(|outcome| {
            let expected = self.expected(outcome);
            [
                expected,
                counted(&client, outcome),
                counted(&server, outcome),
            ]
        });
        for row in all {
            let [expected, client, server] = row.counts.map(grouped);
            println!("{:<22}{expected:>12}{client:>12}{server:>12}", row.name());
            if let Some(text) = row.fault() {
                self.wrong(text);
            }
        }
        println!("\n{} wrong", self.wrong);
        ExitCode::from(u8::from(self.wrong > 0))
    }

    fn expected(&self, outcome: Result<(), Kind>) -> u64 {
        let entries = self.expected.iter().filter(|entry| entry.0 == outcome);
        entries.map(|entry| entry.1).sum()
    }
}

/// How many calls ended in one way: as was expected, as the client has counted, and as the server has.
#[derive(Debug, PartialEq)]
struct Row {
    outcome: Result<(), Kind>,
    counts: [u64; 3],
}

/// A row for each outcome that there was, or should have been.
fn rows(count: impl Fn(Result<(), Kind>) -> [u64; 3]) -> Vec<Row> {
    let outcomes = iter::once(Ok(())).chain(Kind::ALL.map(Err));
    let rows = outcomes.map(|outcome| Row {
        outcome,
        counts: count(outcome),
    });
    rows.filter(|row| row.counts != [0; 3]).collect()
}

fn counted(by: &Outcomes, outcome: Result<(), Kind>) -> u64 {
    match outcome {
        Ok(()) => by.ok(),
        Err(kind) => by.errors(kind),
    }
}

impl Row {
    fn name(&self) -> String {
        self.outcome
            .map_or_else(|kind| kind.to_string(), |()| "answered".into())
    }

    /// What is wrong with it: each call has one outcome, the same for both sides.
    fn fault(&self) -> Option<String> {
        let [expected, client, server] = self.counts;
        (client != expected || server != expected).then(|| {
            let name = self.name();
            format!(
                "{name}: {expected} were expected, the client has {client}, the server {server}"
            )
        })
    }
}

/// A whole number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(count: impl Fn(Result<(), Kind>) -> [u64; 3]) -> Vec<String> {
        rows(count).iter().filter_map(Row::fault).collect()
    }

    #[test]
    fn what_both_sides_have_counted_as_expected_is_right() {
        let count = |outcome| match outcome {
            Ok(()) => [100; 3],
            Err(Kind::Timeout) => [7; 3],
            Err(_) => [0; 3],
        };
        assert_eq!(rows(count).len(), 2);
        assert_eq!(faults(count), [""; 0]);
    }

    #[test]
    fn a_count_of_either_side_that_is_not_as_expected_is_wrong() {
        for counts in [[5, 4, 5], [5, 5, 4], [0, 0, 1], [0, 1, 0], [1, 0, 0]] {
            let faults = faults(|outcome| match outcome {
                Err(Kind::Cancelled) => counts,
                _ => [3; 3],
            });
            let [expected, client, server] = counts;
            let text = format!(
                "{}: {expected} were expected, the client has {client}, the server {server}",
                Kind::Cancelled
            );
            assert_eq!(faults, [text]);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1 000"),
            (1234567, "1 234 567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
