//! Counts what was expected and what was not, and prints both.

use std::{fmt::Display, iter, process::ExitCode, time::Duration};

use steeple::{Channel, Kind, ServerHandle, Stats};

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

    /// Compares what was expected with what was counted, and says whether all was well.
    pub(crate) fn close(mut self) -> ExitCode {
        let (client, server) = (self.client.stats().calls, self.server.stats().served);
        println!(
            "\n{:<22}{:>12}{:>12}{:>12}",
            "calls", "expected", "client", "server"
        );
        for outcome in iter::once(Ok(())).chain(Kind::ALL.map(Err)) {
            let expected = self.expected(outcome);
            let (name, client, server) = match outcome {
                Ok(()) => ("answered".into(), client.ok(), server.ok()),
                Err(kind) => (kind.to_string(), client.errors(kind), server.errors(kind)),
            };
            if [expected, client, server] != [0; 3] {
                let [expected, client, server] = [expected, client, server].map(grouped);
                println!("{name:<22}{expected:>12}{client:>12}{server:>12}");
            }
            if client != expected {
                self.wrong(format!("{client} calls and not {expected} ended so"));
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
