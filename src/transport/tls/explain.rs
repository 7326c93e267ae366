//! Why a handshake failed, in words for whoever has to put it right.

use std::{fmt, io};

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::transport::failed::failed;

/// Says of a failed handshake with `other` what went wrong; the error of rustls or of the stream is the source.
pub(super) fn explain(other: &str, error: io::Error) -> io::Error {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    let why = match tls {
        Some(tls) => because(tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the stream; perhaps it does not speak TLS".to_owned()
        }
        None => "the stream failed".to_owned(),
    };
    failed(format!("no TLS with {other}: {why}"), error)
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
        AlertDescription::CertificateExpired => "this side's certificate has expired",
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
        match self.0 {
            [] => f.write_str("no name"),
            names => f.write_str(&names.join(", ")),
        }
    }
}
