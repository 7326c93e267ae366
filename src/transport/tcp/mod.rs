//! TCP, on either side with the same [`TcpOptions`].

mod dialer;
mod listener;
mod options;

use std::{error::Error, fmt, io};

pub use self::{dialer::TcpDialer, listener::TcpListener, options::TcpOptions};
use super::Endpoint;

/// The host and port of a `tcp://` endpoint; another scheme is an error that names it.
fn host_and_port(endpoint: &Endpoint) -> io::Result<(&str, u16)> {
    match (endpoint.scheme(), endpoint.port()) {
        ("tcp", Some(port)) => Ok((endpoint.host(), port)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{endpoint} is not a tcp:// endpoint"),
        )),
    }
}

/// Says what failed, and keeps why as the source.
fn failed(what: String, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), Failed { what, source })
}

#[derive(Debug)]
struct Failed {
    what: String,
    source: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
