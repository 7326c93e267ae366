//! What an admission counts.

/// How an [`AdmissionLayer`](super::AdmissionLayer) stands, and what it did so far: a consistent copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many calls may run at once.
    pub limit: usize,
    /// Calls that run.
    pub running: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Whether the queue stands, so that the newest call goes first and old ones are shed.
    pub is_overloaded: bool,
    /// Calls that ran, or run.
    pub admitted: u64,
    /// Calls that were refused since too many wait, or have waited for too long.
    pub shed: u64,
    /// Calls that were refused since their deadline had passed or would have.
    pub expired: u64,
}
