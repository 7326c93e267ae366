//! TCP, on either side with the same [`TcpOptions`].

mod dialer;
mod eyeballs;
mod listener;
mod options;

use std::io;

pub use self::{dialer::TcpDialer, listener::TcpListener, options::TcpOptions};
use super::Endpoint;

/// The host and port of an endpoint that has them.
fn host_and_port(endpoint: &Endpoint) -> io::Result<(&str, u16)> {
    match endpoint.port() {
        Some(port) => Ok((endpoint.host(), port)),
        None => Err(not_tcp(endpoint)),
    }
}

/// Who asks for `tls://` must not be given less.
fn check_scheme(endpoint: &Endpoint) -> io::Result<()> {
    match endpoint.scheme() {
        "tcp" => Ok(()),
        _ => Err(not_tcp(endpoint)),
    }
}

fn not_tcp(endpoint: &Endpoint) -> io::Error {
    let text = format!("{endpoint} is not a tcp:// endpoint");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
