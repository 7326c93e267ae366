//! TLS by rustls: a [`Wrap`](super::Wrap) for either side, and what `tls://` means.
//!
//! TLS 1.3, unless a configuration of one's own says otherwise, with the ALPN name `steeple/1`. The cryptography is
//! that of ring, or of aws-lc with the feature `tls-aws-lc`; the process-wide default of rustls is neither
//! asked nor set.

mod certificate;
mod client;
mod explain;
mod identity;
mod server;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::CryptoProvider;

pub use self::{
    certificate::PeerCertificate,
    client::TlsClient,
    identity::TlsIdentity,
    server::{TlsListener, TlsServer},
};
use crate::{Error, Kind};

/// What both sides say that they speak.
const ALPN: &[u8] = b"steeple/1";

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
