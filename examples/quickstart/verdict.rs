//! Whether an answer is the right one.

use std::fmt::Debug;

use steeple::{Error, Kind};

/// Something to know of a right answer, or what was wrong with it.
pub(crate) type Verdict<T = ()> = Result<T, String>;

pub(crate) fn is_value<T: Debug + PartialEq>(answer: Result<T, Error>, right: &T) -> Verdict {
    match answer {
        Ok(value) if value == *right => Ok(()),
        Ok(value) => Err(format!("{value:?} instead of {right:?}")),
        Err(error) => Err(format!("{error:?} instead of {right:?}")),
    }
}

pub(crate) fn is_error<T: Debug>(answer: Result<T, Error>, kind: Kind) -> Verdict<Error> {
    match answer {
        Err(error) if error.kind() == kind => Ok(error),
        other => Err(format!("{other:?} instead of {kind:?}")),
    }
}
