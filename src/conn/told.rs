//! The causes of an error as texts.

use std::{error::Error as StdError, fmt, iter};

use crate::{Error, wire::numbers::limit::MAX_CAUSES};

/// A cause that is only its text any more.
#[derive(Debug)]
struct Told {
    text: String,
    source: Option<Box<Told>>,
}

/// The same error, with causes of which only the texts are left: to read them runs no code of the user's, which
/// it must not where the error is encoded, under a lock.
pub(super) fn told(error: Error) -> Error {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    let texts: Vec<String> = causes.take(MAX_CAUSES).map(ToString::to_string).collect();
    let chain = texts
        .into_iter()
        .rev()
        .fold(None, |source, text| Some(Box::new(Told { text, source })));
    match chain {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Told {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn the_texts_of_the_causes_stay_in_their_order() {
        let disk = Error::new(Kind::Internal, "no space").with_source("disk");
        let error = told(Error::new(Kind::Internal, "cannot save").with_source(disk));
        let save = error.source().unwrap();
        assert_eq!(save.to_string(), "no space");
        assert_eq!(save.source().unwrap().to_string(), "disk");
    }

    #[test]
    fn a_chain_without_an_end_is_cut() {
        let endless = (0..100).fold(Error::new(Kind::Internal, "end"), |cause, _| {
            Error::new(Kind::Internal, "on").with_source(cause)
        });
        let error = told(endless);
        assert_eq!(
            iter::successors(error.source(), |&cause| cause.source()).count(),
            MAX_CAUSES
        );
    }
}
