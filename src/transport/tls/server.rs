//! The side that accepts.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier, server::WebPkiClientVerifier,
        version::TLS13,
    },
};
use tower_service::Service;

use super::{
    PeerCertificate, TlsIdentity, TlsStream, explain::explain, invalid, provider, with_tls,
};
use crate::{
    Error, Kind,
    transport::{
        Address, Endpoint, Handshake, InvalidEndpoint, Io, Listener, Opened, TcpListener,
        TcpOptions,
    },
    wire::numbers::tls,
};

/// TLS on the side that accepts: it makes listeners on `tls://`, and is a [`Wrap`](crate::transport::Wrap) for any
/// other stream. Clones are the same one.
///
/// What it speaks is said of [`TlsClient`](super::TlsClient).
///
/// Handshakes run in the clients' own tasks: a slow one, or one that fails, is felt by nobody else.
///
/// ```no_run
/// use steeple::{Server, transport::{TlsIdentity, TlsServer}};
/// # async fn example(service: steeple::conn::Unserved) -> Result<(), Box<dyn std::error::Error>> {
/// let load = || -> Result<_, Box<dyn std::error::Error>> {
///     let (chain, key) = (std::fs::read("cert.pem")?, std::fs::read("key.pem")?);
///     Ok(TlsIdentity::from_pem(chain, key)?)
/// };
/// let tls = TlsServer::new(load()?)?;
/// let server = Server::new(tls.bind("tls://0.0.0.0:7000").await?);
/// tokio::spawn(server.serve(service));
///
/// // When the certificate is renewed:
/// tls.replace(&TlsServer::new(load()?)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// Listens on `tls://host:port`: TCP, with the TLS of a [`TlsServer`] around each stream.
#[derive(Debug)]
pub struct TlsListener {
    tcp: TcpListener,
    tls: TlsServer,
}

impl TlsServer {
    /// Shows who it is, and lets in whoever trusts that.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if the key is not that of the certificate, or of a kind that is not known.
    pub fn new(identity: TlsIdentity) -> Result<Self, Error> {
        let builder = versions().with_no_client_auth();
        let config = builder.with_single_cert(identity.chain, identity.key);
        let config = config.map_err(|error| invalid(NO_IDENTITY, error))?;
        Ok(Self::from_config(spoken(config)))
    }

    /// As [`new`](Self::new), and lets in only who shows a certificate of these authorities: mutual TLS. Requests
    /// find it as [`PeerCertificate`] in their connection.
    ///
    /// # Errors
    /// [`Kind::Invalid`] as above, or if there are no authorities.
    pub fn mutual(identity: TlsIdentity, clients: RootCertStore) -> Result<Self, Error> {
        let verifier = WebPkiClientVerifier::builder_with_provider(clients.into(), provider());
        let verifier = verifier
            .build()
            .map_err(|error| invalid("these authorities cannot vouch for clients", error))?;
        let builder = versions().with_client_cert_verifier(verifier);
        let config = builder.with_single_cert(identity.chain, identity.key);
        let config = config.map_err(|error| invalid(NO_IDENTITY, error))?;
        Ok(Self::from_config(spoken(config)))
    }

    /// A configuration of one's own, taken as it is: with its versions, its verifier and its ALPN.
    pub fn from_config(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self {
            config: Arc::new(RwLock::new(config.into())),
        }
    }

    /// From now on does as `other` does now, in all clones and listeners: a renewed certificate, say. Connections
    /// that there are go on.
    pub fn replace(&self, other: &Self) {
        let config = other.config();
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Listens on a `tls://` endpoint, with the default [`TcpOptions`].
    ///
    /// # Errors
    /// [`Kind::Invalid`] if this is no such endpoint, [`Kind::Unavailable`] if it cannot be listened on.
    pub async fn bind<E>(&self, endpoint: E) -> Result<TlsListener, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        self.bind_with(endpoint, TcpOptions::new()).await
    }

    /// As [`bind`](Self::bind), with options of the listener's and of the streams it accepts.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_with<E>(&self, endpoint: E, options: TcpOptions) -> Result<TlsListener, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        let endpoint = endpoint.try_into().map_err(Into::into)?;
        if endpoint.scheme() != "tls" {
            let text = format!("{endpoint} is not a tls:// endpoint");
            return Err(Error::new(Kind::Invalid, text));
        }
        let tcp = TcpListener::bind_any(&endpoint, options).await;
        let tcp = tcp.map_err(|error| {
            Error::new(Kind::Unavailable, format!("cannot listen on {endpoint}")).with_source(error)
        })?;
        let tls = self.clone();
        Ok(TlsListener { tcp, tls })
    }

    async fn accept<I: Io>(self, opened: Opened<I>) -> io::Result<Opened<TlsStream<I>>> {
        let Opened {
            io,
            address,
            endpoint,
            mut extensions,
        } = opened;
        let stream = TlsAcceptor::from(self.config())
            .accept(io)
            .await
            .map_err(|error| explain(&address.to_string(), error))?;
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

    fn config(&self) -> Arc<ServerConfig> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }
}

impl<I: Io> Service<Opened<I>> for TlsServer {
    type Response = Opened<TlsStream<I>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Opened<TlsStream<I>>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, opened: Opened<I>) -> Self::Future {
        Box::pin(self.clone().accept(opened))
    }
}

impl Listener for TlsListener {
    type Io = Handshake<TlsStream<TcpStream>>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Address)> {
        let (stream, address) = self.tcp.accept().await?;
        let address = with_tls(address);
        let opened = Opened::new(stream, address.clone(), None);
        let tls = self.tls.clone();
        let handshake = async move { Ok(tls.accept(opened).await?) };
        Ok((Handshake::new(handshake), address))
    }

    fn local_address(&self) -> Address {
        with_tls(self.tcp.local_address())
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

const NO_IDENTITY: &str = "this is no identity of a TLS server";

fn versions() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider can do TLS 1.3")
}

fn spoken(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    config
}
