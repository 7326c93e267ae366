//! Why a connection ended, as every call on it is told.

use std::{borrow::Cow, error::Error as StdError, fmt, io, sync::Arc};

use crate::{Error, Execution, Kind, Origin, wire::Violation};

/// One cause for the errors of many calls.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    kind: Kind,
    origin: Origin,
    message: Cow<'static, str>,
    source: Option<Shared>,
    refused: bool,
    orderly: bool,
}

/// A source that several errors share.
#[derive(Clone, Debug)]
struct Shared(Arc<dyn StdError + Send + Sync>);

impl Cause {
    pub(crate) fn new(kind: Kind, origin: Origin, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            origin,
            message: message.into(),
            source: None,
            refused: false,
            orderly: false,
        }
    }

    /// This end was closed by its owner.
    pub(crate) fn closed() -> Self {
        Self::new(
            Kind::Closed,
            Origin::Local,
            "the connection was closed here",
        )
        .orderly()
    }

    /// The peer has said that it stops, and has stopped.
    pub(crate) fn left() -> Self {
        Self::new(
            Kind::Unavailable,
            Origin::Remote,
            "the peer has drained the connection",
        )
    }

    /// The connection failed.
    pub(crate) fn lost(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Connection, Origin::Transport, message)
    }

    pub(crate) fn read(error: io::Error) -> Self {
        Self::lost("reading from the connection failed").with_source(error)
    }

    /// The stream has bytes of the peer, and cannot make sense of them.
    pub(crate) fn unreadable(error: io::Error) -> Self {
        Self::lost(format!("what the peer sends cannot be read: {error}")).with_source(error)
    }

    pub(crate) fn write(error: io::Error) -> Self {
        Self::lost("writing to the connection failed").with_source(error)
    }

    /// The peer broke the protocol.
    pub(crate) fn violation(violation: Violation) -> Self {
        Self::lost(format!("the peer broke the protocol: {violation}")).with_source(violation)
    }

    /// The peer looked at nothing of what was sent to it.
    pub(crate) fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// The connection ended as it should.
    pub(crate) fn orderly(mut self) -> Self {
        self.orderly = true;
        self
    }

    pub(crate) fn is_orderly(&self) -> bool {
        self.orderly
    }

    /// The error of a call of which the stream had taken all or not.
    pub(crate) fn error(&self, sent: bool) -> Error {
        let execution = match (sent, self.refused) {
            (false, _) => Execution::NotSent,
            (true, true) => Execution::NotStarted,
            (true, false) => Execution::MaybeExecuted,
        };
        let error = Error::new(self.kind, self.message.clone())
            .with_origin(self.origin)
            .with_execution(execution);
        match &self.source {
            Some(source) => error.with_source(source.clone()),
            None => error,
        }
    }

    fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Shared(Arc::new(source)));
        self
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
