//! What a circuit is up to, to be read.

use std::{fmt, time::Duration};

/// What a [`Circuit`](super::Circuit) does with calls, and why. Its text is for people: "open for 3.2 s more: 5 failures
/// in a row, the last: the connection was reset".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Calls go through.
    #[non_exhaustive]
    Closed {
        /// How many have failed since the last success.
        failures: u32,
    },
    /// Calls are refused.
    #[non_exhaustive]
    Open {
        /// For how long; `None` is until it is [reset](super::Circuit::reset).
        left: Option<Duration>,
        /// Why it was opened.
        reason: String,
    },
    /// One call goes through, and decides. Others are refused.
    #[non_exhaustive]
    HalfOpen {
        /// Whether that call is under way.
        is_probing: bool,
        /// Why it was opened.
        reason: String,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { failures: 0 } => f.write_str("closed"),
            Self::Closed { failures: 1 } => f.write_str("closed, the last call failed"),
            Self::Closed { failures } => write!(f, "closed, the last {failures} calls failed"),
            Self::Open {
                left: Some(left),
                reason,
            } => write!(f, "open for {:.1} s more: {reason}", left.as_secs_f64()),
            Self::Open { left: None, reason } => write!(f, "open until it is reset: {reason}"),
            Self::HalfOpen {
                is_probing: true,
                reason,
            } => write!(f, "half open while a call is tried: {reason}"),
            Self::HalfOpen { reason, .. } => write!(f, "half open for the next call: {reason}"),
        }
    }
}
