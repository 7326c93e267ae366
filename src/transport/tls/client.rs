//! The side that dials.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, ConfigBuilder, RootCertStore, client::WantsClientCert, pki_types::ServerName,
        version::TLS13,
    },
};
use tower_service::Service;

use super::{PeerCertificate, TlsIdentity, TlsStream, explain::explain, invalid, provider};
use crate::{
    Error, Kind,
    transport::{Endpoint, Io, Opened, failed::failed},
    wire::numbers::tls,
};

/// TLS on the side that dials: what a [`NetDialer`](crate::transport::NetDialer) dials `tls://` with, and a
/// [`Wrap`](crate::transport::Wrap) for any other stream. Cheap to clone.
///
/// It speaks TLS 1.3 with the ALPN name [`steeple/1`](crate::wire::numbers::tls::ALPN), unless a configuration of
/// one's own says otherwise. The cryptography is that of ring, or of aws-lc with the feature `tls-aws-lc`; the default of
/// the process is neither asked nor set. So does a [`TlsServer`](super::TlsServer).
///
/// Its requests find the server's [`PeerCertificate`] in their connection.
///
/// ```no_run
/// use steeple::{Client, Connector, transport::{NetDialer, TlsClient}};
/// # async fn example(roots: tokio_rustls::rustls::RootCertStore) -> Result<(), steeple::Error> {
/// // Trusting whom the system trusts, there is nothing to set:
/// let client = Client::connect("tls://rpc.example.com:7000").await?;
///
/// // Trusting whom browsers trust, with the feature `webpki-roots`:
/// # #[cfg(feature = "webpki-roots")]
/// let dialer = NetDialer::new().tls(TlsClient::webpki());
///
/// // Trusting an authority of one's own:
/// let dialer = NetDialer::new().tls(TlsClient::new(roots));
/// let client = Client::builder()
///     .connector(Connector::new().dialer(dialer))
///     .connect("tls://rpc.internal:7000")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsClient {
    /// Shared by all clones.
    config: Arc<RwLock<Arc<ClientConfig>>>,
    name: Option<ServerName<'static>>,
}

impl TlsClient {
    /// Trusts these authorities.
    pub fn new(roots: RootCertStore) -> Self {
        Self::from_config(spoken(trusting(roots).with_no_client_auth()))
    }

    /// As [`new`](Self::new), and shows who this side is to a server that asks.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if the key is not that of the certificate, or of a kind that is not known.
    pub fn mutual(roots: RootCertStore, identity: TlsIdentity) -> Result<Self, Error> {
        let config = trusting(roots)
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(|error| invalid("this is no identity of a TLS client", error))?;
        Ok(Self::from_config(spoken(config)))
    }

    /// Trusts the authorities that the system trusts. Reads them from their files: it is made once and cloned.
    ///
    /// # Errors
    /// If the system has none that can be read.
    pub async fn system() -> io::Result<Self> {
        let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
        let loaded = loaded.await.map_err(io::Error::other)?;
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added > 0 {
            return Ok(Self::new(roots));
        }
        let cause = match loaded.errors.into_iter().next() {
            Some(error) => io::Error::other(error),
            None => io::ErrorKind::NotFound.into(),
        };
        Err(failed(
            "the system has no trusted authorities for TLS",
            cause,
        ))
    }

    /// Trusts the authorities that Mozilla's browser trusts, as this build has them from the crate `webpki-roots`: for
    /// systems that have none, as small containers.
    #[cfg(feature = "webpki-roots")]
    pub fn webpki() -> Self {
        Self::new(browser_roots())
    }

    /// A configuration of one's own, taken as it is: with its versions, its verifier and its ALPN.
    pub fn from_config(config: impl Into<Arc<ClientConfig>>) -> Self {
        Self {
            config: Arc::new(RwLock::new(config.into())),
            name: None,
        }
    }

    /// The name that the server's certificate is to have, whatever the endpoint says: that of a service behind an IP
    /// address or a proxy, or of one on a unix socket. Default: the endpoint's host.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if it is neither a DNS name nor an IP address.
    pub fn server_name(mut self, name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let parsed = ServerName::try_from(name.clone());
        let parsed = parsed.map_err(|error| {
            Error::new(Kind::Invalid, format!("{name:?} is no name of a server")).with_source(error)
        })?;
        self.name = Some(parsed);
        Ok(self)
    }

    /// From now on does as `other` does now, in all clones: shows a renewed certificate, say, or trusts another
    /// authority. Connections that there are go on; the [server name](Self::server_name) of each clone stays.
    pub fn replace(&self, other: &Self) {
        let config = other.config();
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(in crate::transport) async fn connect<I: Io>(
        self,
        opened: Opened<I>,
    ) -> io::Result<Opened<TlsStream<I>>> {
        let config = self.config();
        let name = match self.name {
            Some(name) => name,
            None => name_of(opened.endpoint.as_ref())?,
        };
        let other = match &opened.endpoint {
            Some(endpoint) => endpoint.to_string(),
            None => opened.address.to_string(),
        };
        let Opened {
            io,
            address,
            endpoint,
            mut extensions,
        } = opened;
        let stream = TlsConnector::from(config)
            .connect(name, io)
            .await
            .map_err(|error| explain(&other, error))?;
        if let Some(certificate) = PeerCertificate::shown(stream.get_ref().1) {
            extensions.insert(certificate);
        }
        Ok(Opened {
            io: TlsStream::new(stream),
            address,
            endpoint,
            extensions,
        })
    }

    fn config(&self) -> Arc<ClientConfig> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }
}

impl<I: Io> Service<Opened<I>> for TlsClient {
    type Response = Opened<TlsStream<I>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Opened<TlsStream<I>>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, opened: Opened<I>) -> Self::Future {
        Box::pin(self.clone().connect(opened))
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("server_name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "webpki-roots")]
fn browser_roots() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

fn trusting(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider can do TLS 1.3")
        .with_root_certificates(roots)
}

fn spoken(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    config
}

/// The name of whom the endpoint dials.
fn name_of(endpoint: Option<&Endpoint>) -> io::Result<ServerName<'static>> {
    let host = endpoint.map_or("", Endpoint::server_name);
    // A zone says through which interface, and not who.
    let (host, _zone) = host.split_once('%').unwrap_or((host, ""));
    let host = if host.is_empty() { "localhost" } else { host };
    ServerName::try_from(host.to_owned()).map_err(|error| {
        let text = format!("{host:?} is no name of a TLS server: set TlsClient::server_name");
        failed(text, io::Error::new(io::ErrorKind::InvalidInput, error))
    })
}

#[cfg(all(test, feature = "webpki-roots"))]
mod tests {
    use super::*;

    #[test]
    fn all_authorities_that_browsers_trust_are_trusted() {
        let store = browser_roots();
        assert!(!store.is_empty());
        assert_eq!(store.roots, webpki_roots::TLS_SERVER_ROOTS);
    }
}
