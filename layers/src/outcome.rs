//! What a result says of the server that was called.

use crate::{AsError, Kind, Origin};

/// How a call ended, as far as the server is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server did its part.
    Good,
    /// It failed, or could not be reached.
    Bad,
    /// The call ended without its help.
    Neither,
}

impl Outcome {
    /// That an application failed says nothing against its server, and neither do a caller's mistakes.
    pub(crate) fn of<E: AsError>(error: Option<&E>) -> Self {
        let Some(error) = error else {
            return Self::Good;
        };
        let Some(error) = error.as_error() else {
            return Self::Bad;
        };
        match error.kind() {
            // This side's own trouble, as a queue of its own that is full.
            Kind::Internal | Kind::Overflow if error.origin() == Origin::Local => Self::Neither,
            Kind::Connection
            | Kind::Internal
            | Kind::Overflow
            | Kind::Timeout
            | Kind::Unavailable
            | Kind::Unreachable => Self::Bad,
            Kind::Cancelled | Kind::Closed => Self::Neither,
            Kind::Application
            | Kind::Invalid
            | Kind::PermissionDenied
            | Kind::Unauthenticated
            | Kind::Unimplemented => Self::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn what_is_full_on_this_side_says_nothing_of_the_server() {
        let full = Error::new(Kind::Overflow, "full");
        assert_eq!(Outcome::of(Some(&full)), Outcome::Neither);
        let theirs = full.with_origin(Origin::Remote);
        assert_eq!(Outcome::of(Some(&theirs)), Outcome::Bad);
    }
}
