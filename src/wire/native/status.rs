//! Errors and how they travel: a status, a text, details, and what stands in the metadata.

use std::{error::Error as StdError, fmt};

use crate::{
    Encoding, Error, Execution, Kind, Origin,
    wire::numbers::{
        encoding,
        limit::{MAX_CAUSE, MAX_CAUSES, MAX_TEXT},
        metadata, status,
    },
};

use super::{
    head::encoding_of,
    meta::{Block, Entries},
    truncated,
};

/// The code of an error answer.
///
/// Only an error that was found here and says *not started* tells that no handler ran. One that was not sent, or
/// came from elsewhere, is that of a nested call: that call may not have started, but the handler that passes
/// its error on did.
pub(super) fn encode(error: &Error) -> u16 {
    let not_processed =
        error.origin() == Origin::Local && error.execution() == Execution::NotStarted;
    let bit = if not_processed {
        status::NOT_PROCESSED
    } else {
        0
    };
    bit | match error.kind() {
        Kind::Application => {
            let code = error.as_application().map_or(0, |it| it.code());
            status::APPLICATION + code
        }
        Kind::Cancelled => status::CANCELLED,
        Kind::Timeout => status::TIMEOUT,
        Kind::Unimplemented => status::UNIMPLEMENTED,
        Kind::Overflow => status::EXHAUSTED,
        Kind::Unavailable => status::UNAVAILABLE,
        Kind::Invalid => status::INVALID,
        Kind::Unauthenticated => status::UNAUTHENTICATED,
        Kind::PermissionDenied => status::PERMISSION_DENIED,
        Kind::Closed | Kind::Connection | Kind::Unreachable => status::UNREACHABLE,
        // Kinds that this version has no number for included.
        _ => status::INTERNAL,
    }
}

/// The body of an error answer, at most `max` bytes (there is room for a text), and whether its details are
/// raw. Details that do not fit are left out.
pub(super) fn encode_body(error: &Error, max: u64) -> (Vec<u8>, bool) {
    let text = truncated(error.message(), MAX_TEXT);
    let len = 2 + text.len();
    let details = error.as_application().and_then(|it| it.details());
    let (encoding, details) = details
        .filter(|(_, bytes)| (len + bytes.len()) as u64 <= max)
        .unwrap_or_default();
    let mut body = Vec::with_capacity(len + details.len());
    body.extend_from_slice(&(text.len() as u16).to_le_bytes());
    body.extend_from_slice(text.as_bytes());
    body.extend_from_slice(details);
    let raw = !details.is_empty() && Encoding::new(encoding).is_raw();
    (body, raw)
}

/// What else an error tells, in the metadata. Fits into an empty block.
pub(super) fn encode_meta(error: &Error, causes: bool, block: &mut Block) -> Result<(), Error> {
    if let Some(wait) = error.retry_after() {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        block.put(metadata::RETRY_AFTER, &micros.to_le_bytes(), &[])?;
    }
    if error.execution() == Execution::Executed && error.kind() != Kind::Application {
        block.put(metadata::EXECUTED, &[], &[])?;
    }
    let first = error.source().filter(|_| causes);
    for cause in std::iter::successors(first, |&cause| cause.source()).take(MAX_CAUSES) {
        let text = cause.to_string();
        let text = truncated(&text, MAX_CAUSE);
        block.put(metadata::CAUSE, text.as_bytes(), &[])?;
    }
    Ok(())
}

/// The error of an answer with this code, of which the details are raw or not.
pub(super) fn decode(code: u16, raw: bool, entries: Entries, body: &[u8]) -> Error {
    let status = code & !status::NOT_PROCESSED;
    let (text, details) = split(body);
    let mut error = match status.checked_sub(status::APPLICATION) {
        Some(code) => Error::application(code, text),
        None => Error::new(kind(status), text),
    };
    if !details.is_empty() {
        let encoding = encoding_of(raw, encoding::BOUND);
        error = error.with_details(encoding.number(), details);
    }
    if let Some(wait) = entries.retry_after {
        error = error.with_retry_after(wait);
    }
    if let Some(cause) = RemoteCause::chain(entries.causes) {
        error = error.with_source(cause);
    }
    let execution = if code & status::NOT_PROCESSED != 0 {
        Execution::NotStarted
    } else if entries.executed || error.kind() == Kind::Application {
        Execution::Executed
    } else {
        Execution::MaybeExecuted
    };
    error.with_origin(Origin::Remote).with_execution(execution)
}

/// The kind of a status below the application's.
fn kind(status: u16) -> Kind {
    match status {
        status::CANCELLED => Kind::Cancelled,
        status::TIMEOUT => Kind::Timeout,
        status::UNIMPLEMENTED => Kind::Unimplemented,
        status::EXHAUSTED => Kind::Overflow,
        // A failure behind the peer must not look like one of the connection to the peer.
        status::UNAVAILABLE | status::UNREACHABLE => Kind::Unavailable,
        status::INVALID => Kind::Invalid,
        status::UNAUTHENTICATED => Kind::Unauthenticated,
        status::PERMISSION_DENIED => Kind::PermissionDenied,
        _ => Kind::Internal,
    }
}

/// Text and details. A body that is no error body still has a status, which is worth more than its text.
fn split(body: &[u8]) -> (String, &[u8]) {
    body.split_first_chunk()
        .and_then(|(len, rest)| rest.split_at_checked(u16::from_le_bytes(*len).into()))
        .map_or_else(
            || ("the text of the error is cut short".into(), &[][..]),
            |(text, details)| (String::from_utf8_lossy(text).into(), details),
        )
}

/// A cause that the peer told.
#[derive(Debug)]
struct RemoteCause {
    text: String,
    source: Option<Box<RemoteCause>>,
}

impl RemoteCause {
    /// The first of a chain of causes, outermost first. Short, since [`MAX_CAUSES`] are kept.
    fn chain(texts: Vec<String>) -> Option<Box<Self>> {
        texts
            .into_iter()
            .rev()
            .fold(None, |source, text| Some(Box::new(Self { text, source })))
    }
}

impl fmt::Display for RemoteCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for RemoteCause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Application, wire::native::meta};

    fn travel(error: &Error, causes: bool) -> Error {
        let mut block = Block::new();
        encode_meta(error, causes, &mut block).unwrap();
        let entries = match block.finish() {
            [] => Entries::default(),
            bytes => meta::decode(bytes).unwrap().0,
        };
        let (body, raw) = encode_body(error, u64::MAX);
        decode(encode(error), raw, entries, &body)
    }

    fn local(kind: Kind) -> Error {
        Error::new(kind, "text")
    }

    #[test]
    fn kinds_survive_except_those_of_a_connection_that_is_not_this_one() {
        for kind in [
            Kind::Cancelled,
            Kind::Timeout,
            Kind::Unimplemented,
            Kind::Overflow,
            Kind::Unavailable,
            Kind::Invalid,
            Kind::Unauthenticated,
            Kind::PermissionDenied,
            Kind::Internal,
        ] {
            assert_eq!(travel(&local(kind), false).kind(), kind);
        }
        for kind in [Kind::Closed, Kind::Connection, Kind::Unreachable] {
            assert_eq!(travel(&local(kind), false).kind(), Kind::Unavailable);
        }
    }

    #[test]
    fn an_answer_is_remote_and_keeps_its_text_and_wait() {
        let wait = Duration::from_millis(30);
        let error = travel(&local(Kind::Overflow).with_retry_after(wait), false);
        assert_eq!(error.origin(), Origin::Remote);
        assert_eq!(error.message(), "text");
        assert_eq!(error.retry_after(), Some(wait));
    }

    #[test]
    fn only_a_local_refusal_says_that_no_handler_ran() {
        let says = |execution, origin| {
            let error = local(Kind::Overflow)
                .with_execution(execution)
                .with_origin(origin);
            travel(&error, false).execution()
        };
        use Execution::*;
        assert_eq!(says(NotSent, Origin::Local), MaybeExecuted);
        assert_eq!(says(NotStarted, Origin::Local), NotStarted);
        assert_eq!(says(NotStarted, Origin::Remote), MaybeExecuted);
        assert_eq!(says(NotSent, Origin::Transport), MaybeExecuted);
        assert_eq!(says(MaybeExecuted, Origin::Local), MaybeExecuted);
        assert_eq!(says(Executed, Origin::Local), Executed);
    }

    #[test]
    fn an_application_error_keeps_code_and_details() {
        for code in [0, 7, Application::MAX_CODE] {
            let error =
                Error::application(code, "no").with_details(encoding::JSON.number(), *b"{}");
            let error = travel(&error, false);
            assert_eq!(error.execution(), Execution::Executed);
            let application = error.as_application().unwrap();
            assert_eq!(application.code(), code);
            assert_eq!(
                application.details(),
                Some((encoding::BOUND.number(), &b"{}"[..]))
            );
        }
        let raw = travel(&Error::application(1, "").with_details(0, *b"x"), false);
        assert_eq!(
            raw.as_application().unwrap().details(),
            Some((0, &b"x"[..]))
        );
    }

    #[test]
    fn details_that_do_not_fit_are_left_out() {
        let error = Error::application(1, "text").with_details(2, vec![0; 100]);
        assert_eq!(encode_body(&error, 106).0.len(), 106);
        assert_eq!(encode_body(&error, 105).0.len(), 6);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let error = travel(&Error::new(Kind::Invalid, "é".repeat(MAX_TEXT)), false);
        assert_eq!(error.message().len(), MAX_TEXT);
        let odd = format!("a{}", "é".repeat(MAX_TEXT));
        assert_eq!(
            travel(&Error::new(Kind::Invalid, odd), false)
                .message()
                .len(),
            MAX_TEXT - 1
        );
    }

    #[test]
    fn causes_travel_only_if_asked_and_at_most_eight() {
        let chain = (0..20).fold(local(Kind::Internal), |source, n| {
            Error::new(Kind::Internal, format!("{n} {}", "x".repeat(2000))).with_source(source)
        });
        assert!(travel(&chain, false).source().is_none());
        let error = travel(&chain, true);
        let texts: Vec<_> = std::iter::successors(error.source(), |&cause| cause.source())
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts.len(), 8);
        assert!(texts[0].starts_with("18 ") && texts[7].starts_with("11 "));
        assert!(texts.iter().all(|text| text.len() == MAX_CAUSE));
    }

    #[test]
    fn an_unknown_status_and_a_bad_body_are_an_internal_error_with_a_text() {
        let error = decode(31, false, Entries::default(), b"\x02\0hi");
        assert_eq!((error.kind(), error.message()), (Kind::Internal, "hi"));
        for body in [&b""[..], b"\x01", b"\x02\0x"] {
            let error = decode(status::INVALID, false, Entries::default(), body);
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.message().contains("cut short"));
        }
    }
}
