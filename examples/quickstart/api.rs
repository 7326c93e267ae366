//! What the two sides agree on: values, and the codes of errors.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The argument and the answer of `echo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) caller: u32,
    pub(crate) call: u32,
    pub(crate) text: String,
}

/// The argument of `divide`, and the details of its error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Division {
    pub(crate) dividend: u64,
    pub(crate) divisor: u64,
}

/// The code of the error of `divide`: the application's own, it means nothing to what lies between.
pub(crate) const DIVISION_BY_ZERO: u16 = 7;

/// A nap that nobody waits for the end of.
pub(crate) const LONG_NAP: Duration = Duration::from_secs(3600);

pub(crate) const SHORT_NAP: Duration = Duration::from_millis(50);
