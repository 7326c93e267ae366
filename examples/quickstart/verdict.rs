//! Whether an answer is the right one.

use steeple::{Body, Error, Kind, Response};

/// Something to know of a right answer, or what was wrong with it.
pub(crate) type Verdict<T = ()> = Result<T, String>;

pub(crate) fn is_body(answer: Result<Response, Error>, right: &Body) -> Verdict {
    match answer {
        Ok(response) if response.body() == right => Ok(()),
        Ok(response) => Err(format!("{:?} instead of {:?}", response.body(), right)),
        Err(error) => Err(format!("{error:?}")),
    }
}

pub(crate) fn is_error(answer: Result<Response, Error>, kind: Kind) -> Verdict<Error> {
    match answer {
        Ok(response) => Err(format!("{response:?} instead of {kind:?}")),
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => Err(format!("{error:?} instead of {kind:?}")),
    }
}
