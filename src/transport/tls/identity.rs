//! Who this side is.

use std::fmt;

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::invalid;
use crate::Error;

/// A certificate with those that vouch for it, and its private key: who one side is.
///
/// `Debug` shows no key.
pub struct TlsIdentity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl TlsIdentity {
    /// A certificate first, then those that vouch for it, and the key of the first.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { chain, key }
    }

    /// The same from PEM texts, as files hold them.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if one of them is no PEM, or has no certificate or key.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, Error> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_ref()).collect();
        let chain = chain.map_err(|error| invalid("the certificates are not PEM", error))?;
        if chain.is_empty() {
            return Err(Error::new(
                crate::Kind::Invalid,
                "the PEM text has no certificate",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_ref())
            .map_err(|error| invalid("the PEM text has no private key", error))?;
        Ok(Self { chain, key })
    }

    /// Its certificates.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

impl Clone for TlsIdentity {
    fn clone(&self) -> Self {
        Self::new(self.chain.clone(), self.key.clone_key())
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}
