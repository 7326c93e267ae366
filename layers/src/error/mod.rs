//! *The* error of the project: what went wrong, where, and whether the call was executed.

mod as_error;
mod kind;

use std::{
    borrow::Cow, convert::Infallible, error::Error as StdError, fmt, sync::Arc, time::Duration,
};

pub use self::{
    as_error::AsError,
    kind::{Execution, Kind, Origin},
};

/// Any error, as tower's own layers return it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A failed call: one word, so that results stay small on the way up a stack.
///
/// It answers three questions. [`kind`](Self::kind): what happened, and so whether trying again is *useful*.
/// [`origin`](Self::origin): who says so. [`execution`](Self::execution): whether the handler may have run,
/// and so whether trying again is *safe*.
///
/// `Display` prints this level only; causes hang on [`source`](StdError::source), whose concrete types are
/// not part of the contract.
///
/// A clone shares the cause, so that one failure can be told to all who wait for the same thing.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    origin: Origin,
    execution: Execution,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    application: Option<Application>,
    out_of_time: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What an application said when it refused or failed a call: a code of its own and detail bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    code: u16,
    details: Option<Details>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    encoding: u8,
    bytes: Box<[u8]>,
}

impl Error {
    /// A failure found on this side before the call was sent; refine it with [`with_origin`](Self::with_origin)
    /// and [`with_execution`](Self::with_execution).
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            origin: Origin::Local,
            execution: Execution::NotSent,
            message: message.into(),
            retry_after: None,
            application: None,
            out_of_time: false,
            source: None,
        }))
    }

    /// An answer of the application that is not a success: the handler ran and says so.
    ///
    /// `code` is the application's own, at most [`Application::MAX_CODE`]; a larger one cannot travel and
    /// becomes an internal error that names the limit.
    pub fn application(code: u16, message: impl Into<Cow<'static, str>>) -> Self {
        if code > Application::MAX_CODE {
            let message = format!(
                "application code {code} exceeds the limit {}",
                Application::MAX_CODE
            );
            return Self::new(Kind::Internal, message).executed();
        }
        let mut error = Self::new(Kind::Application, message).executed();
        error.0.application = Some(Application {
            code,
            details: None,
        });
        error
    }

    /// What happened.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Who found out.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Whether the handler may have run.
    pub fn execution(&self) -> Execution {
        self.0.execution
    }

    /// The text of this level, without causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// How long the server asks to wait before another attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The application's code and details, if the kind is [`Kind::Application`].
    pub fn as_application(&self) -> Option<&Application> {
        self.0.application.as_ref()
    }

    /// Whether time ran out: of the kind [`Kind::Timeout`], or of another that was found
    /// [out of time](Self::out_of_time). For any other question compare the [kind](Self::kind).
    pub fn is_timeout(&self) -> bool {
        self.kind() == Kind::Timeout || self.0.out_of_time
    }

    /// The same error, found by `origin`.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.0.origin = origin;
        self
    }

    /// The same error, of a call that got as far as `execution`.
    #[must_use]
    pub fn with_execution(mut self, execution: Execution) -> Self {
        self.0.execution = execution;
        self
    }

    /// The same error with a request to wait before another attempt.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The same error, of a call that had to end since its time was over: it kept its kind, which tells what it
    /// was waiting for, and [is a timeout](Self::is_timeout) too.
    #[must_use]
    pub fn out_of_time(mut self) -> Self {
        self.0.out_of_time = true;
        self
    }

    /// The same error with a cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// The same error with detail bytes in an encoding, if it is an [application](Self::application) error;
    /// any other error carries none and is returned unchanged.
    #[must_use]
    pub fn with_details(mut self, encoding: u8, bytes: impl Into<Box<[u8]>>) -> Self {
        if let Some(application) = &mut self.0.application {
            application.details = Some(Details {
                encoding,
                bytes: bytes.into(),
            });
        }
        self
    }

    /// The same error, of a call whose handler ran to its end.
    ///
    /// A handler that returns the error of a *nested* call must not pass on that call's execution: the
    /// nested call may not have started, but this one ran. A router does this for its handlers; a service
    /// that stands directly on a connection does it itself.
    #[must_use]
    pub fn executed(self) -> Self {
        self.with_execution(Execution::Executed)
    }
}

impl Application {
    /// The largest code that can travel, 0x7EFF.
    pub const MAX_CODE: u16 = 0x7EFF;

    /// The application's own code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The encoding of the details and their bytes.
    pub fn details(&self) -> Option<(u8, &[u8])> {
        self.details
            .as_ref()
            .map(|details| (details.encoding, &*details.bytes))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.message.is_empty() {
            return fmt::Display::fmt(&self.0.kind, f);
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug
            .field("kind", &self.0.kind)
            .field("origin", &self.0.origin)
            .field("execution", &self.0.execution)
            .field("message", &self.0.message);
        if let Some(wait) = &self.0.retry_after {
            debug.field("retry_after", wait);
        }
        if let Some(application) = &self.0.application {
            debug.field("application", application);
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// An [`Error`] inside comes out as it went in; any other error is an internal one of a call that may have run.
impl From<BoxError> for Error {
    fn from(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => *error,
            Err(error) => Self::new(Kind::Internal, error.to_string())
                .with_execution(Execution::MaybeExecuted)
                .with_source(error),
        }
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_and_so_is_a_result_of_nothing() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn display_prints_its_own_level_only() {
        let error =
            Error::new(Kind::Connection, "the connection was reset").with_source("broken pipe");
        assert_eq!(error.to_string(), "the connection was reset");
        assert_eq!(error.source().unwrap().to_string(), "broken pipe");
        assert_eq!(
            Error::new(Kind::Timeout, "").to_string(),
            "deadline exceeded"
        );
    }

    #[test]
    fn an_error_survives_being_boxed() {
        let boxed: BoxError = Box::new(Error::application(7, "no such user"));
        let error = Error::from(boxed);
        assert_eq!(error.kind(), Kind::Application);
        assert_eq!(error.as_application().unwrap().code(), 7);
    }

    #[test]
    fn a_foreign_error_becomes_internal_and_is_kept_as_the_cause() {
        let error = Error::from(BoxError::from("disk full"));
        assert_eq!(error.kind(), Kind::Internal);
        assert_eq!(error.execution(), Execution::MaybeExecuted);
        assert_eq!(error.source().unwrap().to_string(), "disk full");
    }

    #[test]
    fn a_clone_says_the_same_and_shares_the_cause() {
        let error = Error::application(7, "no such user")
            .with_details(1, *b"x")
            .with_retry_after(Duration::from_secs(1))
            .with_source("disk full");
        let clone = error.clone();
        assert_eq!(format!("{clone:?}"), format!("{error:?}"));
        let cause = |error: &Error| std::ptr::from_ref(error.source().unwrap()).cast::<()>();
        assert_eq!(cause(&clone), cause(&error));
    }

    #[test]
    fn an_application_code_above_the_limit_is_refused_by_name() {
        let error = Error::application(Application::MAX_CODE + 1, "x");
        assert_eq!(error.kind(), Kind::Internal);
        assert!(
            error.to_string().contains("exceeds the limit 32511"),
            "{error}"
        );
    }

    #[test]
    fn only_application_errors_carry_details() {
        let error = Error::application(1, "x").with_details(2, *b"ab");
        assert_eq!(
            error.as_application().unwrap().details(),
            Some((2, &b"ab"[..]))
        );
        assert!(
            Error::new(Kind::Internal, "x")
                .with_details(2, *b"ab")
                .as_application()
                .is_none()
        );
    }
}
