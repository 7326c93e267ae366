//! A dialler of `tcp://` endpoints.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

use super::{
    TcpOptions, check_scheme,
    eyeballs::{Unreached, race},
    host_and_port,
};
use crate::transport::{Address, Dialing, Endpoint, failed::failed};

/// Dials `tcp://host:port`: resolves the host and takes the first of its addresses that connects.
///
/// The addresses are tried in the order in which the system has them, but with their families in turn, and each
/// 250 ms after the one before it, or as soon as that has failed: so a network whose IPv6 leads nowhere costs a
/// quarter of a second ("Happy Eyeballs", RFC 8305). At most 32 are tried.
///
/// It has no timeout of its own; what drives it has. A failure names the endpoint and the last address
/// tried, has the kind of the last failure, and keeps that as its source.
#[derive(Clone, Debug, Default)]
pub struct TcpDialer {
    options: TcpOptions,
}

impl TcpDialer {
    /// A dialler with the default [`TcpOptions`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `options` on the streams it dials from now on.
    #[must_use]
    pub fn options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }
}

impl Service<Endpoint> for TcpDialer {
    type Response = (TcpStream, Address);
    type Error = io::Error;
    type Future = Dialing<TcpStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, endpoint: Endpoint) -> Self::Future {
        let dialer = self.clone();
        Dialing::new(async move {
            check_scheme(&endpoint)?;
            dialer.dial(&endpoint).await
        })
    }
}

impl TcpDialer {
    /// Dials the host and port of any scheme that has them.
    pub(in crate::transport) async fn dial(
        &self,
        endpoint: &Endpoint,
    ) -> io::Result<(TcpStream, Address)> {
        let (stream, address) = connect(endpoint).await?;
        self.options
            .apply(&stream)
            .map_err(|error| failed(format!("cannot set the options of {endpoint}"), error))?;
        Ok((stream, address))
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<(TcpStream, Address)> {
    let (host, port) = host_and_port(endpoint)?;
    let host = if host.is_empty() { "localhost" } else { host };
    let addresses = lookup_host((host, port))
        .await
        .map_err(|error| failed(format!("cannot resolve the host of {endpoint}"), error))?;
    match race(addresses, TcpStream::connect).await {
        Some(Ok((stream, address))) => Ok((stream, address.into())),
        Some(Err(Unreached { address, error })) => {
            let what = format!("cannot connect to {endpoint} at {address}");
            Err(failed(what, error))
        }
        None => {
            let what = format!("the host of {endpoint} has no address");
            Err(io::Error::new(io::ErrorKind::NotFound, what))
        }
    }
}
