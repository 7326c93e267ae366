//! What is measured: each letter, its shape and its size.

use std::fmt;
use std::str::FromStr;

/// One letter of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// The letter that names it on the command line and in every row.
    pub(crate) letter: char,
    /// Connections between client and server.
    pub(crate) connections: usize,
    /// Callers per connection, each with one call at a time.
    pub(crate) callers: usize,
    /// Bytes in the body of a request, and of its answer.
    pub(crate) payload: usize,
    /// Whether both processes share one CPU. Unpinned, a lone caller mostly measures how an idle CPU wakes up.
    pub(crate) pinned: bool,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const ALL: [Workload; 8] = [
    Workload {
        pinned: true,
        ..closed('A', 1, 1, 64)
    },
    closed('B', 1, 64, 64),
    closed('C', 1, 512, 64),
    closed('D', 1, 4096, 64),
    closed('E', 16, 32, 64),
    closed('F', 1, 64, KIB),
    closed('G', 1, 16, 64 * KIB),
    closed('H', 1, 4, MIB),
];

/// Callers that each wait for an answer before the next call.
const fn closed(letter: char, connections: usize, callers: usize, payload: usize) -> Workload {
    Workload {
        letter,
        connections,
        callers,
        payload,
        pinned: false,
    }
}

impl Workload {
    /// Calls in flight over all connections.
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
        ALL.into_iter()
            .find(|workload| letter.len() == 1 && letter.starts_with(workload.letter))
            .ok_or_else(|| {
                format!(
                    "no workload {letter:?}; there are {}",
                    ALL.map(|workload| workload.letter)
                        .iter()
                        .collect::<String>()
                )
            })
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
        write!(f, "{letter}: {connections} × {callers} callers, ")?;
        match self.payload {
            bytes if bytes >= MIB => write!(f, "{} MiB", bytes / MIB)?,
            bytes if bytes >= KIB => write!(f, "{} KiB", bytes / KIB)?,
            bytes => write!(f, "{bytes} B")?,
        }
        if self.pinned {
            f.write_str(", both processes on one CPU")
        } else {
            Ok(())
        }
    }
}
