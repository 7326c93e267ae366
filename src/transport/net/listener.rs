//! A listener whose transport the endpoint says.

use std::io;

use super::NetStream;
#[cfg(unix)]
use crate::transport::UnixListener;
use crate::transport::{Address, Endpoint, Handshake, Listener, TcpListener};

/// Listens on whatever endpoint it is given: TCP or a unix socket.
#[derive(Debug)]
pub struct NetListener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl NetListener {
    /// Binds to `tcp://` as [`TcpListener::bind`] does, and to `unix://` as [`UnixListener::bind`](crate::transport::UnixListener::bind).
    ///
    /// # Errors
    /// Theirs; and for any other scheme one that says how it is listened on.
    pub async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        let why = match endpoint.scheme() {
            "tcp" => return TcpListener::bind(endpoint).await.map(Self::from),
            #[cfg(unix)]
            "unix" => return UnixListener::bind(endpoint).await.map(Self::from),
            "tls" => "it needs a certificate: TlsServer::bind (feature `tls`) makes the listener",
            "mem" => "a MemNetwork makes its listener",
            _ => "this system cannot listen there",
        };
        let text = format!("cannot listen on {endpoint}: {why}");
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
}

impl Listener for NetListener {
    type Io = Handshake<NetStream>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Address)> {
        match &mut self.0 {
            Kind::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Handshake::over(stream.into()), address))
            }
            #[cfg(unix)]
            Kind::Unix(listener) => {
                let (stream, known, address) = listener.accept_known().await?;
                Ok((Handshake::known(stream.into(), known), address))
            }
        }
    }

    fn local_address(&self) -> Address {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_address(),
            #[cfg(unix)]
            Kind::Unix(listener) => listener.local_address(),
        }
    }
}

impl From<TcpListener> for NetListener {
    fn from(listener: TcpListener) -> Self {
        Self(Kind::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<UnixListener> for NetListener {
    fn from(listener: UnixListener) -> Self {
        Self(Kind::Unix(listener))
    }
}
