//! A dialler whose transport the endpoint says.

#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
use std::sync::Arc;
use std::{
    io,
    task::{Context, Poll},
};

#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
use tokio::sync::OnceCell;
use tower_service::Service;

use super::NetStream;
#[cfg(unix)]
use crate::transport::UnixDialer;
use crate::transport::{Address, Dialing, Endpoint, Handshake, TcpDialer, TcpOptions};
#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
use crate::transport::{Opened, TlsClient, tls::with_tls};

/// Dials whatever endpoint it is given: TCP, a unix socket, and TLS over TCP with the feature `tls`.
///
/// It is what a [`Connector`](crate::Connector) dials by unless it is told another.
#[derive(Clone, Debug, Default)]
pub struct NetDialer {
    tcp: TcpDialer,
    #[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
    tls: Arc<OnceCell<TlsClient>>,
}

impl NetDialer {
    /// A dialler with the default [`TcpOptions`], which trusts the authorities that the system trusts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `options` on the TCP streams that it dials from now on.
    #[must_use]
    pub fn tcp(mut self, options: TcpOptions) -> Self {
        self.tcp = self.tcp.options(options);
        self
    }

    /// Dials `tls://` endpoints by this. Default: [`TlsClient::system`], made when it is first needed.
    #[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Arc::new(OnceCell::new_with(Some(tls)));
        self
    }
}

impl Service<Endpoint> for NetDialer {
    type Response = (Handshake<NetStream>, Address);
    type Error = io::Error;
    type Future = Dialing<Handshake<NetStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, endpoint: Endpoint) -> Self::Future {
        let dialer = self.clone();
        Dialing::new(async move { dialer.dial(endpoint).await })
    }
}

impl NetDialer {
    // These diallers are always ready.
    async fn dial(self, endpoint: Endpoint) -> io::Result<(Handshake<NetStream>, Address)> {
        match endpoint.scheme() {
            "tcp" => {
                let (stream, address) = self.tcp.dial(&endpoint).await?;
                Ok((Handshake::over(stream.into()), address))
            }
            #[cfg(unix)]
            "unix" => {
                let (stream, address) = UnixDialer::new().call(endpoint).await?;
                Ok((Handshake::over(stream.into()), address))
            }
            #[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
            "tls" => {
                let tls = self.tls.get_or_try_init(TlsClient::system).await?.clone();
                let (stream, address) = self.tcp.dial(&endpoint).await?;
                let address = with_tls(address);
                let opened = Opened::new(stream, address.clone(), Some(endpoint));
                let handshake = async move { Ok(tls.connect(opened).await?.map(NetStream::from)) };
                Ok((Handshake::new(handshake), address))
            }
            #[cfg(not(any(feature = "tls", feature = "tls-aws-lc")))]
            "tls" => Err(unsupported(
                &endpoint,
                "this program was built without the feature `tls`",
            )),
            "mem" => Err(unsupported(&endpoint, "a MemNetwork dials it")),
            _ => Err(unsupported(&endpoint, "this system cannot")),
        }
    }
}

fn unsupported(endpoint: &Endpoint, why: &str) -> io::Error {
    let text = format!("cannot dial {endpoint}: {why}");
    io::Error::new(io::ErrorKind::Unsupported, text)
}
