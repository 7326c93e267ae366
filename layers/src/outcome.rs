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
            Kind::Internal if error.origin() == Origin::Local => Self::Neither,
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
