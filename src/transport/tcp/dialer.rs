//! A dialler of `tcp://` endpoints.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

use super::{TcpOptions, failed, host_and_port};
use crate::transport::{Address, Dialing, Endpoint};

/// Dials `tcp://host:port`: resolves the host and tries its addresses in turn, until one connects.
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
        let options = self.options.clone();
        Dialing::new(async move {
            let (stream, address) = connect(&endpoint).await?;
            options
                .apply(&stream)
                .map_err(|error| failed(format!("cannot set the options of {endpoint}"), error))?;
            Ok((stream, address))
        })
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<(TcpStream, Address)> {
    let (host, port) = host_and_port(endpoint)?;
    let host = if host.is_empty() { "localhost" } else { host };
    let addresses = lookup_host((host, port))
        .await
        .map_err(|error| failed(format!("cannot resolve the host of {endpoint}"), error))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, address.into())),
            Err(error) => {
                let what = format!("cannot connect to {endpoint} at {address}");
                last = Some(failed(what, error));
            }
        }
    }
    Err(last.unwrap_or_else(|| {
        let what = format!("the host of {endpoint} has no address");
        io::Error::new(io::ErrorKind::NotFound, what)
    }))
}
