//! What is measured: each letter, its shape and its size.

use std::fmt;
use std::str::FromStr;

/// One letter of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// The letter that names it on the command line and in every row.
    pub(crate) letter: char,
    /// How calls follow each other.
    pub(crate) shape: Shape,
    /// Connections between client and server.
    pub(crate) connections: usize,
    /// Callers per connection.
    pub(crate) callers: usize,
    /// Bytes in the body of a request, and of its answer; zero where bodies are JSON.
    pub(crate) payload: usize,
    /// Whether both processes share one CPU. Unpinned, a lone caller mostly measures how an idle CPU wakes up.
    pub(crate) pinned: bool,
}

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Every caller waits for the answer before its next call.
    Closed,
    /// One call per connection, and then silence: what a connection costs to keep.
    Idle,
    /// Closed, first alone and then beside bodies of 64 MiB on the same connection.
    Beside,
    /// Closed to find the peak; then calls fall due by the clock, at half and at four fifths of it.
    Open,
    /// Every caller makes 512 calls at once, in one task, and waits for all.
    Batch,
    /// Closed; the bodies are JSON, which both sides read and write.
    Json,
    /// Closed, of messages of about 200 bytes through a proxy that counts; plain, then compressed.
    Bytes,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const ALL: [Workload; 14] = [
    Workload {
        pinned: true,
        ..workload('A', Shape::Closed, 1, 1, 64)
    },
    workload('B', Shape::Closed, 1, 64, 64),
    workload('C', Shape::Closed, 1, 512, 64),
    workload('D', Shape::Closed, 1, 4096, 64),
    workload('E', Shape::Closed, 16, 32, 64),
    workload('F', Shape::Closed, 1, 64, KIB),
    workload('G', Shape::Closed, 1, 16, 64 * KIB),
    workload('H', Shape::Closed, 1, 4, MIB),
    workload('I', Shape::Idle, 9_000, 1, 64),
    workload('J', Shape::Beside, 1, 1, 64),
    workload('N', Shape::Open, 1, 512, 64),
    workload('P', Shape::Batch, 1, 1, 64),
    workload('Q', Shape::Json, 8, 10, 0),
    workload('R', Shape::Bytes, 1, 64, 0),
];

const fn workload(
    letter: char,
    shape: Shape,
    connections: usize,
    callers: usize,
    payload: usize,
) -> Workload {
    Workload {
        letter,
        shape,
        connections,
        callers,
        payload,
        pinned: false,
    }
}

impl Workload {
    /// Callers over all connections.
    pub(crate) fn depth(&self) -> usize {
        self.connections * self.callers
    }

    /// One call in this many is timed, so that reading the clock stays below one percent of the fastest peer.
    pub(crate) fn sample_every(&self) -> u64 {
        match self.depth() {
            0..=32 => 1,
            33..=128 => 8,
            _ => 16,
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(letter: &str) -> Result<Self, String> {
        let known = ALL.map(|workload| workload.letter);
        ALL.into_iter()
            .find(|workload| letter == workload.letter.to_string())
            .ok_or_else(|| format!("no workload {letter:?} among {}", String::from_iter(known)))
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            letter,
            connections,
            callers,
            ..
        } = self;
        write!(f, "{letter}: {connections} × {callers}, ")?;
        match self.payload {
            0 => f.write_str("JSON")?,
            bytes if bytes >= MIB => write!(f, "{} MiB", bytes / MIB)?,
            bytes if bytes >= KIB => write!(f, "{} KiB", bytes / KIB)?,
            bytes => write!(f, "{bytes} B")?,
        }
        f.write_str(match self.shape {
            Shape::Closed if self.pinned => ", both processes on one CPU",
            Shape::Closed | Shape::Json => "",
            Shape::Idle => ", idle",
            Shape::Beside => ", beside 64 MiB",
            Shape::Open => ", open loop",
            Shape::Bytes => ", plain and compressed",
            Shape::Batch => ", 512 calls at once from one task",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_finds_its_own_workload() {
        for workload in ALL {
            assert_eq!(workload.letter.to_string().parse(), Ok(workload));
        }
        assert!("".parse::<Workload>().is_err());
        assert!("AB".parse::<Workload>().unwrap_err().contains("AB"));
    }
}
