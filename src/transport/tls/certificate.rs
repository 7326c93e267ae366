//! Who the other side is.

use std::{fmt, sync::Arc};

use tokio_rustls::rustls::{CommonState, pki_types::CertificateDer};
use webpki::EndEntityCert;

use crate::Request;

/// The certificate that the other side has shown, and that was verified. Cheap to clone.
///
/// Of the names that it is for it tells those that are DNS names and URIs. IP addresses, e-mail addresses and the subject
/// are left out: who goes by them reads them from the [`chain`](Self::chain), with a parser of certificates.
///
/// On a server it is there if clients have to show one ([`TlsServer::mutual`](super::TlsServer::mutual)). A handler of a
/// [`Router`](crate::Router) takes it as an argument, an [`Extension`](crate::router::Extension). A layer or a service finds
/// it by [`of`](Self::of), and what makes a connection's service in
/// [`Accepted::extensions`](crate::server::Accepted::extensions).
///
/// ```
/// use steeple::{
///     Error, Kind, Request, Router, layers::AuthLayer, router::Extension, transport::PeerCertificate,
/// };
/// use tower::Layer;
///
/// async fn whoami(Extension(caller): Extension<PeerCertificate>) -> Option<String> {
///     caller.spiffe_id().map(str::to_owned)
/// }
///
/// // Nobody else is let in.
/// let only_payments = AuthLayer::new(|request: &mut Request| {
///     match PeerCertificate::of(request).and_then(PeerCertificate::spiffe_id) {
///         Some("spiffe://example/payments") => Ok(()),
///         _ => Err(Error::new(Kind::PermissionDenied, "this is for payments")),
///     }
/// });
/// let service = only_payments.layer(Router::new().route("WhoAmI", whoami));
/// # let _: steeple::layers::auth::Auth<Router, _> = service;
/// ```
#[derive(Clone)]
pub struct PeerCertificate(Arc<Inner>);

struct Inner {
    chain: Vec<CertificateDer<'static>>,
    dns_names: Vec<String>,
    uris: Vec<String>,
}

impl PeerCertificate {
    /// That of the connection on which a request came in.
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.connection()?.get()
    }

    /// What the other side of a finished handshake has shown, if it has.
    pub(super) fn shown(session: &CommonState) -> Option<Self> {
        let chain = session.peer_certificates()?;
        let certificate = chain.first()?;
        let mut inner = Inner {
            chain: chain.iter().map(|it| it.clone().into_owned()).collect(),
            dns_names: Vec::new(),
            uris: Vec::new(),
        };
        // One that a verifier of the user's own lets through, but that cannot be read, has no names.
        if let Ok(certificate) = EndEntityCert::try_from(certificate) {
            let owned = |name: &str| name.to_owned();
            inner.dns_names = certificate.valid_dns_names().map(owned).collect();
            inner.uris = certificate.valid_uri_names().map(owned).collect();
        }
        Some(Self(Arc::new(inner)))
    }

    /// The certificate itself, and those that were sent to vouch for it.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    /// The subject alternative names that are DNS names.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.0.dns_names.iter().map(String::as_str)
    }

    /// The subject alternative names that are URIs.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.0.uris.iter().map(String::as_str)
    }

    /// The SPIFFE id: the only URI of the certificate, if it begins with `spiffe://`. A certificate with several
    /// URIs has none, as SPIFFE demands.
    pub fn spiffe_id(&self) -> Option<&str> {
        match &*self.0.uris {
            [uri] if uri.starts_with("spiffe://") => Some(uri),
            _ => None,
        }
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate")
            .field("dns_names", &self.0.dns_names)
            .field("uris", &self.0.uris)
            .finish_non_exhaustive()
    }
}
