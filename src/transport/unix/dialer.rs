//! A dialler of `unix://` endpoints.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::UnixStream;
use tower_service::Service;

use super::socket_address;
use crate::transport::{Address, Dialing, Endpoint, failed::failed};

/// Dials `unix:///path` and `unix://@name`.
///
/// A unix socket connects at once or not at all. If the listener's queue is full, the dial fails with
/// [`WouldBlock`](io::ErrorKind::WouldBlock). A failure names the endpoint, and keeps the cause as its source.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct UnixDialer;

impl UnixDialer {
    /// A dialler.
    pub fn new() -> Self {
        Self
    }
}

impl Service<Endpoint> for UnixDialer {
    type Response = (UnixStream, Address);
    type Error = io::Error;
    type Future = Dialing<UnixStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, endpoint: Endpoint) -> Self::Future {
        Dialing::new(async move {
            let address = socket_address(&endpoint)?;
            let stream = UnixStream::connect_addr(&address)
                .await
                .map_err(|error| failed(format!("cannot connect to {endpoint}"), error))?;
            Ok((stream, Address::Unix(endpoint.host().into())))
        })
    }
}
