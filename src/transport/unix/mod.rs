//! Unix sockets, by path or by abstract name.

mod dialer;
mod listener;

use std::{io, os::unix::net::SocketAddr};

use tokio::net::unix;

pub use self::{dialer::UnixDialer, listener::UnixListener};
use super::{Endpoint, failed::failed};

/// Where a `unix://` endpoint is; another scheme is an error that names it.
fn socket_address(endpoint: &Endpoint) -> io::Result<unix::SocketAddr> {
    let name = match endpoint.scheme() {
        "unix" => endpoint.host(),
        _ => {
            let text = format!("{endpoint} is not a unix:// endpoint");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    };
    let address = match name.strip_prefix('@') {
        Some(name) => abstract_address(name),
        None => SocketAddr::from_pathname(name),
    };
    match address {
        Ok(address) => Ok(address.into()),
        Err(error) => Err(failed(format!("{endpoint} cannot be a socket"), error)),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address(name: &str) -> io::Result<SocketAddr> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    SocketAddr::from_abstract_name(name)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_address(_: &str) -> io::Result<SocketAddr> {
    let text = "this system has no abstract names of unix sockets";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}
