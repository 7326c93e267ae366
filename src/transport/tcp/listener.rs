//! A listener on a `tcp://` endpoint.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::{TcpStream, lookup_host};

use super::{TcpOptions, check_scheme, host_and_port};
use crate::{
    events,
    transport::{Address, Endpoint, Listener, failed::failed},
};

/// Listens on `tcp://host:port`.
#[derive(Debug)]
pub struct TcpListener {
    inner: tokio::net::TcpListener,
    address: Address,
    options: TcpOptions,
}

impl TcpListener {
    /// Binds to the first address of the endpoint's host that can be bound to; `tcp://:80` is all of this
    /// host's, of IPv6 and IPv4 where the system lets one socket serve both.
    ///
    /// # Errors
    ///
    /// If the endpoint is not `tcp://`, its host cannot be resolved or its port is taken; the error names
    /// the endpoint and keeps the cause as its source.
    pub async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        Self::bind_with(endpoint, TcpOptions::new()).await
    }

    /// As [`bind`](Self::bind), with options of the listener's and of the streams it accepts.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind); or if the system refuses an option of the listener's.
    pub async fn bind_with(endpoint: &Endpoint, options: TcpOptions) -> io::Result<Self> {
        check_scheme(endpoint)?;
        Self::bind_any(endpoint, options).await
    }

    /// Binds to the host and port of any scheme that has them.
    pub(in crate::transport) async fn bind_any(
        endpoint: &Endpoint,
        options: TcpOptions,
    ) -> io::Result<Self> {
        let (host, port) = host_and_port(endpoint)?;
        let cannot = |error| failed(format!("cannot listen on {endpoint}"), error);
        let addresses: Vec<SocketAddr> = match host {
            "" => vec![
                (Ipv6Addr::UNSPECIFIED, port).into(),
                (Ipv4Addr::UNSPECIFIED, port).into(),
            ],
            host => lookup_host((host, port)).await.map_err(cannot)?.collect(),
        };
        let mut bound = Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the host has no address",
        ));
        for address in addresses {
            bound = options.listen(address);
            if bound.is_ok() {
                break;
            }
        }
        let listener = bound.and_then(Self::from_tokio).map_err(cannot)?;
        Ok(listener.options(options))
    }

    /// Takes a listener that was bound elsewhere: one with options of its own, or inherited from a parent.
    ///
    /// # Errors
    ///
    /// If the system cannot say where it listens.
    pub fn from_tokio(inner: tokio::net::TcpListener) -> io::Result<Self> {
        Ok(Self {
            address: inner.local_addr()?.into(),
            inner,
            options: TcpOptions::new(),
        })
    }

    /// Sets `options` on the streams it accepts from now on. One that the system refuses is logged, and the
    /// stream served without it.
    #[must_use]
    pub fn options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Address)> {
        // Each turn takes one client out of the queue or waits; tokio's budget makes it yield in between.
        loop {
            match self.inner.accept().await {
                Ok((stream, address)) => {
                    // A client that has already left cannot be told from an option that the system does
                    // not have, and neither is a reason not to serve the others.
                    if let Err(error) = self.options.apply(&stream) {
                        tracing::warn!(target: events::TRANSPORT, listener = %self.address, %error, "a stream keeps the system's options");
                    }
                    return Ok((stream, address.into()));
                }
                Err(error) if left_early(&error) => {
                    tracing::debug!(target: events::TRANSPORT, listener = %self.address, %error, "a client left before it was accepted");
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn local_address(&self) -> Address {
        self.address.clone()
    }
}

/// Whether a client went away between its connect and our accept.
fn left_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
