//! What the other side of a stream, or a bound listener, is called.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The name of a peer or of a bound listener. Cheap to clone.
///
/// It prints as an [`Endpoint`](super::Endpoint) is written, so that what a listener reports can be dialled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A name in a network in memory.
    Mem(Arc<str>),
    /// Whatever a transport of one's own calls it; printed as it is.
    Other(Arc<str>),
    /// One end of a TCP connection.
    Tcp(SocketAddr),
    /// One end of a TCP connection with TLS.
    Tls(SocketAddr),
    /// A unix socket: its path, or `@` and its abstract name. Most clients have neither: theirs is empty.
    Unix(Arc<str>),
}

impl Address {
    /// The IP address, if there is one: what a limit per client counts by.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) | Self::Tls(address) => Some(address.ip()),
            Self::Mem(_) | Self::Other(_) | Self::Unix(_) => None,
        }
    }
}

/// An IPv4 address that a dual-stack socket reports as IPv6 becomes IPv4 again: one client, one address.
impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(match address.ip().to_canonical() {
            IpAddr::V4(ip) => (ip, address.port()).into(),
            IpAddr::V6(_) => address,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mem(name) => write!(f, "mem://{name}"),
            Self::Other(text) => f.write_str(text),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address) => write!(f, "tls://{address}"),
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Endpoint, *};

    #[test]
    fn an_address_prints_as_the_endpoint_that_dials_it() {
        for text in ["tcp://127.0.0.1:7000", "tcp://[::1]:7000"] {
            let socket: SocketAddr = text["tcp://".len()..].parse().unwrap();
            let address = Address::from(socket);
            assert_eq!(address.to_string(), text);
            assert_eq!(text.parse::<Endpoint>().unwrap(), Endpoint::from(socket));
        }
        let tls = Address::Tls("127.0.0.1:7000".parse().unwrap());
        assert_eq!(tls.to_string(), "tls://127.0.0.1:7000");
        assert_eq!(Address::Unix("/a".into()).to_string(), "unix:///a");
        assert_eq!(Address::Mem("a".into()).to_string(), "mem://a");
        assert_eq!(Address::Other("COM1".into()).to_string(), "COM1");
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_listener_keeps_its_ipv4_address() {
        let address = Address::from("[::ffff:10.1.2.3]:9".parse::<SocketAddr>().unwrap());
        assert_eq!(address.ip(), Some([10, 1, 2, 3].into()));
        assert_eq!(address.to_string(), "tcp://10.1.2.3:9");
    }

    #[test]
    fn only_an_internet_address_has_an_ip() {
        assert_eq!(Address::Mem("a".into()).ip(), None);
        assert_eq!(Address::Other("127.0.0.1".into()).ip(), None);
    }
}
