//! TLS by rustls: a [`Wrap`](super::Wrap) for either side, and what `tls://` means.
//!
//! What it is set to is said of [`TlsClient`], for users.

mod certificate;
mod client;
mod explain;
mod identity;
mod server;
mod stream;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::CryptoProvider;

pub use self::{
    certificate::PeerCertificate,
    client::TlsClient,
    identity::TlsIdentity,
    server::{TlsListener, TlsServer},
    stream::TlsStream,
};
use crate::{Error, Kind, transport::Address};

/// What a TCP stream with TLS around it leads to.
pub(super) fn with_tls(address: Address) -> Address {
    match address {
        Address::Tcp(address) => Address::Tls(address),
        other => other,
    }
}

fn provider() -> Arc<CryptoProvider> {
    // Who asks for aws-lc wants it, whoever else in the build asks for `tls`.
    #[cfg(feature = "tls-aws-lc")]
    use tokio_rustls::rustls::crypto::aws_lc_rs as chosen;
    #[cfg(not(feature = "tls-aws-lc"))]
    use tokio_rustls::rustls::crypto::ring as chosen;

    Arc::new(chosen::default_provider())
}

/// The error of settings that are of no use.
fn invalid(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Invalid, what).with_source(source)
}
