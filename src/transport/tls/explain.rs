//! Why a handshake failed, in words for whoever has to put it right.

use std::{fmt, io};

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::transport::failed::failed;

/// Says of a failed handshake with `other` what went wrong; the error of rustls or of the stream is the source.
pub(super) fn explain(other: &str, error: io::Error) -> io::Error {
    let why = match of_tls(&error) {
        Some(tls) => because(tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the stream; perhaps it does not speak TLS".to_owned()
        }
        None => "the stream failed".to_owned(),
    };
    failed(format!("no TLS with {other}: {why}"), error)
}

/// Says of a stream that was open what the other side had against it. An error of the stream beneath is left as it is.
pub(super) fn explain_later(error: io::Error) -> io::Error {
    let Some(tls) = of_tls(&error) else {
        return error;
    };
    let text = format!("TLS has ended: {}", because(tls));
    let error = match tls {
        // It was understood: the other side has ended the stream, and hears no more.
        Error::AlertReceived(_) => io::Error::new(io::ErrorKind::ConnectionAborted, error),
        _ => error,
    };
    failed(text, error)
}

fn of_tls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn because(error: &Error) -> String {
    match error {
        Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::NoCertificatesPresented => "it has not shown a certificate".to_owned(),
        Error::NoApplicationProtocol
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "its protocols (ALPN) do not include ours".to_owned()
        }
        Error::AlertReceived(alert) => format!("it refuses: {}", of_alert(*alert)),
        Error::PeerIncompatible(why) => {
            format!("it cannot do what is asked here: {}", of_peer(why))
        }
        other => other.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            format!(
                "its certificate is for {}, and not for {}",
                List(presented),
                expected.to_str()
            )
        }
        CertificateError::UnknownIssuer => {
            "its certificate is of an authority that is not trusted here".to_owned()
        }
        CertificateError::BadSignature => {
            "its certificate is not signed by the authority that it names".to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        other => format!("its certificate is not accepted: {other}"),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::CertificateRequired => {
            "it wants a certificate, and this side has shown none"
        }
        AlertDescription::CertificateExpired => {
            "this side's certificate has expired, or is not valid yet"
        }
        AlertDescription::CertificateRevoked => "this side's certificate was revoked",
        AlertDescription::UnknownCA => "it does not trust the authority of this side's certificate",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::DecryptError => "it does not accept this side's certificate",
        AlertDescription::ProtocolVersion => "it speaks no version of TLS that this side does",
        AlertDescription::UnrecognisedName => "it does not know the name that it was asked for",
        other => return format!("{other:?}"),
    };
    text.to_owned()
}

fn of_peer(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => "no version of TLS in common".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Names in a sentence.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|name| bare(name)).collect();
        match &*names {
            [] => f.write_str("no name"),
            names => f.write_str(&names.join(", ")),
        }
    }
}

/// A name that comes as `DnsName("a.b")` or `IpAddress(::1)`.
fn bare(name: &str) -> &str {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::ServerName;

    use super::*;

    fn explained(error: Error) -> String {
        explain("there", io::Error::new(io::ErrorKind::InvalidData, error)).to_string()
    }

    #[test]
    fn each_alert_about_a_certificate_says_what_to_put_right() {
        for (alert, words) in [
            (AlertDescription::BadCertificate, "does not accept"),
            (AlertDescription::CertificateExpired, "not valid yet"),
            (AlertDescription::CertificateRequired, "has shown none"),
            (AlertDescription::CertificateRevoked, "was revoked"),
            (AlertDescription::CertificateUnknown, "does not accept"),
            (AlertDescription::DecryptError, "does not accept"),
            (AlertDescription::NoApplicationProtocol, "(ALPN)"),
            (AlertDescription::ProtocolVersion, "no version of TLS"),
            (AlertDescription::UnknownCA, "does not trust"),
            (AlertDescription::UnrecognisedName, "does not know the name"),
            (AlertDescription::UnsupportedCertificate, "does not accept"),
        ] {
            let text = explained(Error::AlertReceived(alert));
            assert!(text.starts_with("no TLS with there: it"), "{text}");
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn an_alert_that_nobody_has_words_for_is_named() {
        let text = explained(Error::AlertReceived(AlertDescription::InternalError));
        assert_eq!(text, "no TLS with there: it refuses: InternalError");
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words() {
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("here").unwrap(),
            presented: presented.iter().copied().map(str::to_owned).collect(),
        };
        for (error, words) in [
            (CertificateError::Expired, "has expired"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::NotValidForName, "for another name"),
            (names(&[]), "for no name, and not for here"),
            (
                names(&["DnsName(\"a.b\")", "IpAddress(::1)", "odd"]),
                "for a.b, ::1, odd, and not for here",
            ),
            (CertificateError::UnknownIssuer, "not trusted here"),
            (CertificateError::BadSignature, "not signed by"),
            (CertificateError::Revoked, "was revoked"),
            (CertificateError::BadEncoding, "not accepted"),
        ] {
            let text = explained(Error::InvalidCertificate(error));
            assert!(text.contains("its certificate"), "{text}");
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn the_cause_is_kept_and_an_error_of_the_stream_beneath_is_left_alone() {
        let alert = Error::AlertReceived(AlertDescription::UnknownCA);
        let error = explain_later(io::Error::new(io::ErrorKind::InvalidData, alert));
        assert!(error.to_string().contains("TLS has ended"), "{error}");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        let inner = error.get_ref().and_then(|inner| inner.source()).unwrap();
        assert!(inner.to_string().contains("UnknownCA"), "{inner}");

        let reset = explain_later(io::ErrorKind::ConnectionReset.into());
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        assert!(reset.get_ref().is_none());
    }
}
