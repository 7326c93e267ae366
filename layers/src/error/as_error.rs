//! How a layer finds an [`Error`] in whatever its service returns.

use super::{BoxError, Error};

/// An error type in which a layer can look for an [`Error`].
///
/// Layers bound `S::Error: From<Error> + AsError` and keep their service's error type, so a stack has no
/// wrapper enums.
#[diagnostic::on_unimplemented(
    message = "a steeple layer cannot tell what `{Self}` means",
    label = "this service's error type is not `AsError`",
    note = "steeple's layers go over services whose error is `steeple::Error` or a boxed error",
    note = "over one that cannot fail, put `map_err(steeple::Error::from)` innermost",
    note = "over one with an error of its own, `map_err(|error| steeple::Error::from(steeple::BoxError::from(error)))`"
)]
pub trait AsError {
    /// The [`Error`] that this is or was caused by.
    fn as_error(&self) -> Option<&Error>;
}

impl AsError for Error {
    fn as_error(&self) -> Option<&Error> {
        Some(self)
    }
}

impl AsError for BoxError {
    fn as_error(&self) -> Option<&Error> {
        let mut level: &(dyn std::error::Error + 'static) = &**self;
        loop {
            if let Some(error) = level.downcast_ref() {
                return Some(error);
            }
            level = level.source()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn a_boxed_error_is_searched_through_its_causes() {
        #[derive(Debug)]
        struct Wrapper(Error);
        impl std::fmt::Display for Wrapper {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("wrapper")
            }
        }
        impl std::error::Error for Wrapper {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }

        let boxed: BoxError = Box::new(Wrapper(Error::new(Kind::Overflow, "full")));
        assert_eq!(boxed.as_error().unwrap().kind(), Kind::Overflow);
        assert!(BoxError::from("else").as_error().is_none());
    }
}
