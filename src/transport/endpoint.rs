//! Where to dial or listen, as text.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    hash::{Hash, Hasher},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
    str::FromStr,
    sync::Arc,
};

use super::Address;
use crate::Kind;

/// A place to dial or to listen on, such as `tcp://10.0.0.1:7000`. Cheap to clone.
///
/// | form | is |
/// |---|---|
/// | `tcp://host:port` | a host name or IPv4 address |
/// | `tcp://[::1]:port` | an IPv6 address, with a zone if need be: `[fe80::1%eth0]` |
/// | `tcp://:port` | every address of this host to listen on, `localhost` to dial |
/// | `tcp://name@10.0.0.1:port` | an address, IPv4 or IPv6, that a name was resolved to |
/// | `tls://host:port` | TCP with TLS (feature `tls`), the same forms |
/// | `unix:///run/x.sock` | a unix socket; what follows `unix://` is its path |
/// | `unix://@name` | a unix socket with an abstract name, on Linux |
/// | `mem://name` | a listener in a network in memory (feature `test`) |
///
/// A port is a number, `http` or `https`; 0 to listen on lets the system choose. The text is kept as it was
/// written and prints as such, and two endpoints are equal if their texts are: nothing is resolved here.
///
/// ```
/// use steeple::Endpoint;
///
/// let endpoint: Endpoint = "tcp://db.internal:7000".parse()?;
/// assert_eq!((endpoint.host(), endpoint.port()), ("db.internal", Some(7000)));
///
/// let error = "db.internal:7000".parse::<Endpoint>().unwrap_err();
/// assert!(error.to_string().contains(r#"no "://""#));
/// # Ok::<_, steeple::transport::InvalidEndpoint>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    text: Arc<str>,
    scheme: Scheme,
    host: Range<usize>,
    /// As the host, unless an address is dialled for it.
    name: Range<usize>,
    port: Option<u16>,
}

/// Why a text is not an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEndpoint {
    text: String,
    problem: Problem,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Mem,
    Tcp,
    Tls,
    Unix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    BareIpv6,
    Character(char),
    NoHost,
    NoPath,
    NoPort,
    NoScheme,
    NotIpv6,
    Port(String),
    UnknownScheme(String),
}

/// Ports that have a name, the two that every system agrees on.
const NAMED_PORTS: [(&str, u16); 2] = [("http", 80), ("https", 443)];

impl Endpoint {
    /// The text, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is reached: `tcp`, `tls`, `unix` or `mem`.
    pub fn scheme(&self) -> &'static str {
        self.scheme.name()
    }

    /// The host without brackets, empty in `tcp://:80`; the name in `mem://name`; the path, or `@name`, in
    /// `unix://`.
    pub fn host(&self) -> &str {
        &self.text[self.host.clone()]
    }

    /// Whose server it is, which a certificate has to say: the name before an `@`, or the host.
    pub fn server_name(&self) -> &str {
        &self.text[self.name.clone()]
    }

    /// The port, if the scheme has ports.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same server at one of its addresses: `tls://db.internal:7000` becomes `tls://db.internal@10.0.0.1:7000`.
    /// What is not reached by TCP, or names no host, stays as it is.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        let text = format!("{}://{}@{address}", self.scheme(), self.server_name());
        match self.scheme {
            Scheme::Tcp | Scheme::Tls => text.parse().unwrap_or_else(|_| self.clone()),
            Scheme::Mem | Scheme::Unix => self.clone(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        parse(text).map_err(|problem| InvalidEndpoint {
            text: text.to_owned(),
            problem,
        })
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: &str) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: &String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

/// A clone, which is cheap.
impl From<&Self> for Endpoint {
    fn from(endpoint: &Self) -> Self {
        endpoint.clone()
    }
}

/// What a listener reports can be dialled, unless a transport of one's own has named it.
impl TryFrom<&Address> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(address: &Address) -> Result<Self, InvalidEndpoint> {
        address.to_string().parse()
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let text = format!("tcp://{address}");
        // Between "tcp://" and ":port", less the brackets of IPv6.
        let brackets = usize::from(address.is_ipv6());
        let end = text.rfind(':').unwrap_or(text.len());
        let host = Scheme::Tcp.prefix() + brackets..end - brackets;
        Self {
            name: host.clone(),
            host,
            text: text.into(),
            scheme: Scheme::Tcp,
            port: Some(address.port()),
        }
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Endpoint {}

impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.text)
    }
}

/// [`Kind::Invalid`], with this as the cause: whoever wrote the endpoint has to change it.
impl From<InvalidEndpoint> for crate::Error {
    fn from(error: InvalidEndpoint) -> Self {
        Self::new(Kind::Invalid, error.to_string()).with_source(error)
    }
}

/// An endpoint is already one.
impl From<Infallible> for InvalidEndpoint {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid endpoint {:?}: ", self.text)?;
        match &self.problem {
            Problem::BareIpv6 => {
                f.write_str("an IPv6 host stands in brackets, as in tcp://[::1]:80")
            }
            Problem::Character(c) => write!(f, "the {} contains {c:?}", self.part()),
            Problem::NoHost => f.write_str("the name is missing"),
            Problem::NoPath => f.write_str("the path is missing, as in unix:///run/x.sock"),
            Problem::NoPort => f.write_str("the port is missing"),
            Problem::NoScheme => f.write_str(r#"there is no "://", as in tcp://host:port"#),
            Problem::NotIpv6 => f.write_str("what stands in brackets is not an IPv6 address"),
            Problem::Port(port) => write!(
                f,
                "the port {port:?} is neither a number up to {} nor http or https",
                u16::MAX
            ),
            Problem::UnknownScheme(scheme) => {
                write!(f, "the scheme {scheme:?} is not one of")?;
                Scheme::ALL
                    .iter()
                    .try_for_each(|known| write!(f, " {}", known.name()))
            }
        }
    }
}

impl Error for InvalidEndpoint {}

impl InvalidEndpoint {
    /// What a wrong character stands in.
    fn part(&self) -> &'static str {
        match self.text.starts_with("unix:") {
            true => "path",
            false => "host",
        }
    }
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Unix, Self::Mem];

    const fn name(self) -> &'static str {
        match self {
            Self::Mem => "mem",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Unix => "unix",
        }
    }

    /// The length of the scheme and its "://".
    const fn prefix(self) -> usize {
        self.name().len() + "://".len()
    }
}

fn parse(text: &str) -> Result<Endpoint, Problem> {
    let (scheme, rest) = text.split_once("://").ok_or(Problem::NoScheme)?;
    let scheme = Scheme::ALL
        .into_iter()
        .find(|known| known.name() == scheme)
        .ok_or_else(|| Problem::UnknownScheme(scheme.to_owned()))?;
    let named = match scheme {
        Scheme::Tcp | Scheme::Tls => name_and_address(rest),
        Scheme::Mem | Scheme::Unix => None,
    };
    let (name, rest) = named.unwrap_or(("", rest));
    let (host, port) = match scheme {
        Scheme::Mem if rest.is_empty() => return Err(Problem::NoHost),
        Scheme::Unix if rest.is_empty() || rest == "@" => return Err(Problem::NoPath),
        Scheme::Mem | Scheme::Unix => (0..rest.len(), None),
        Scheme::Tcp | Scheme::Tls => {
            let (host, port) = host_and_port(rest)?;
            (host, Some(port))
        }
    };
    let is_foreign = match scheme {
        Scheme::Unix => is_foreign_to_paths,
        Scheme::Mem | Scheme::Tcp | Scheme::Tls => is_foreign_to_hosts,
    };
    let mut chars = name.chars().chain(rest[host.clone()].chars());
    if let Some(c) = chars.find(|&c| is_foreign(c)) {
        return Err(Problem::Character(c));
    }
    let before = text.len() - rest.len();
    let host = before + host.start..before + host.end;
    Ok(Endpoint {
        text: text.into(),
        scheme,
        name: match name.is_empty() {
            true => host.clone(),
            false => scheme.prefix()..scheme.prefix() + name.len(),
        },
        host,
        port,
    })
}

/// The two parts of `name@address:port`. An `@` before anything but an address is a slip.
fn name_and_address(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('@')?;
    let (host, _port) = rest.rsplit_once(':')?;
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    (is_address && !name.is_empty()).then_some((name, rest))
}

/// Where the host stands in `host:port` or `[host]:port`, and the port.
fn host_and_port(text: &str) -> Result<(Range<usize>, u16), Problem> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, port) = inner.split_once(']').ok_or(Problem::NotIpv6)?;
            let address = host
                .split_once('%')
                .map_or(host, |(address, _zone)| address);
            address.parse::<Ipv6Addr>().map_err(|_| Problem::NotIpv6)?;
            (
                1..1 + host.len(),
                port.strip_prefix(':').ok_or(Problem::NoPort)?,
            )
        }
        None => {
            let (host, port) = text.rsplit_once(':').ok_or(Problem::NoPort)?;
            if host.contains(':') {
                return Err(Problem::BareIpv6);
            }
            (0..host.len(), port)
        }
    };
    Ok((host, parse_port(port)?))
}

fn parse_port(text: &str) -> Result<u16, Problem> {
    if text.is_empty() {
        return Err(Problem::NoPort);
    }
    let named = NAMED_PORTS.iter().find(|(name, _)| *name == text);
    let number = match named {
        Some((_, port)) => Some(*port),
        // `parse` alone would take a "+" as well.
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    };
    number.ok_or_else(|| Problem::Port(text.to_owned()))
}

/// Whether a character can only be a slip: a list, a path or a user name where a host is meant.
fn is_foreign_to_hosts(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '/' | '?' | '#' | '@' | ',' | '[' | ']' | '"')
}

/// A path may be anything, apart from what a list of endpoints needs and what no terminal shows.
fn is_foreign_to_paths(c: char) -> bool {
    c.is_control() || c == ','
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (&'static str, String, Option<u16>) {
        let endpoint: Endpoint = text.parse().unwrap();
        (
            endpoint.scheme(),
            endpoint.host().to_owned(),
            endpoint.port(),
        )
    }

    fn error(text: &str) -> String {
        text.parse::<Endpoint>().unwrap_err().to_string()
    }

    #[test]
    fn every_form_is_taken_apart() {
        for (text, expected) in [
            ("tcp://host:7000", ("tcp", "host", Some(7000))),
            ("tcp://127.0.0.1:0", ("tcp", "127.0.0.1", Some(0))),
            ("tcp://[::1]:80", ("tcp", "::1", Some(80))),
            ("tcp://[fe80::1%lo0]:53", ("tcp", "fe80::1%lo0", Some(53))),
            ("tcp://:80", ("tcp", "", Some(80))),
            ("tcp://host:http", ("tcp", "host", Some(80))),
            ("tcp://host:https", ("tcp", "host", Some(443))),
            ("mem://server", ("mem", "server", None)),
            ("mem://a:b", ("mem", "a:b", None)),
            ("tls://host:443", ("tls", "host", Some(443))),
            ("tls://[::1]:443", ("tls", "::1", Some(443))),
            ("unix:///run/a b@c.sock", ("unix", "/run/a b@c.sock", None)),
            ("unix://run/x", ("unix", "run/x", None)),
            ("unix://@name", ("unix", "@name", None)),
        ] {
            let (scheme, host, port) = expected;
            assert_eq!(parts(text), (scheme, host.to_owned(), port), "{text}");
        }
    }

    #[test]
    fn an_error_quotes_the_text_and_names_what_is_wrong() {
        for (text, expected) in [
            ("localhost:80", r#"there is no "://""#),
            ("", r#"there is no "://""#),
            (
                "http://host:80",
                r#"the scheme "http" is not one of tcp tls unix mem"#,
            ),
            (
                "TCP://host:80",
                r#"the scheme "TCP" is not one of tcp tls unix mem"#,
            ),
            ("tcp://host", "the port is missing"),
            ("tcp://host:", "the port is missing"),
            ("tcp://[::1]", "the port is missing"),
            (
                "tcp://host:65536",
                r#"the port "65536" is neither a number up to 65535"#,
            ),
            ("tcp://host:+1", r#"the port "+1" is neither"#),
            ("tcp://host:80/path", r#"the port "80/path" is neither"#),
            ("tcp://host:smtp", "nor http or https"),
            ("tcp://::1:80", "stands in brackets"),
            ("tcp://[host]:80", "not an IPv6 address"),
            ("tcp://[::1:80", "not an IPv6 address"),
            ("tcp://me@host:80", "the host contains '@'"),
            ("tcp://@10.0.0.1:80", "the host contains '@'"),
            ("tcp://a/b@10.0.0.1:80", "the host contains '/'"),
            ("tls://name@[host]:80", "not an IPv6 address"),
            ("tcp://a b:80", "the host contains ' '"),
            ("mem://", "the name is missing"),
            ("tls://host", "the port is missing"),
            ("unix://", "the path is missing"),
            ("unix://@", "the path is missing"),
            ("unix:///a,unix:///b", "the path contains ','"),
            ("unix:///a\0", r"the path contains '\0'"),
            ("mem://a,mem://b", "the host contains ','"),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn an_address_can_be_dialled_unless_it_is_of_a_transport_of_ones_own() {
        let address = Address::Mem("server".into());
        assert_eq!(
            Endpoint::try_from(&address).unwrap().as_str(),
            "mem://server"
        );
        let error = Endpoint::try_from(&Address::Other("COM1".into())).unwrap_err();
        assert!(error.to_string().contains("COM1"), "{error}");
    }

    #[test]
    fn an_invalid_endpoint_is_an_error_of_that_kind_with_the_same_text() {
        let invalid = "localhost:80".parse::<Endpoint>().unwrap_err();
        let error = crate::Error::from(invalid.clone());
        assert_eq!(
            (error.kind(), error.to_string()),
            (Kind::Invalid, invalid.to_string())
        );
    }

    #[test]
    fn the_same_text_is_the_same_endpoint() {
        let texts = ["tcp://a:80", "tcp://a:http", "tcp://a:80"];
        let set: HashSet<Endpoint> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn a_socket_address_becomes_the_endpoint_that_its_text_is() {
        for text in ["1.2.3.4:5", "[::1]:6", "[fe80::1%3]:7"] {
            let endpoint = Endpoint::from(text.parse::<SocketAddr>().unwrap());
            let parsed: Endpoint = endpoint.as_str().parse().unwrap();
            assert_eq!(
                (endpoint.host(), endpoint.port()),
                (parsed.host(), parsed.port())
            );
            assert_eq!(endpoint, parsed);
        }
    }

    #[test]
    fn an_endpoint_at_an_address_dials_that_and_keeps_its_name() {
        for (text, address, expected) in [
            ("tls://db:7", "10.0.0.1:8", "tls://db@10.0.0.1:8"),
            ("tcp://db:7", "[fe80::1%3]:8", "tcp://db@[fe80::1%3]:8"),
            ("tls://db@10.0.0.2:8", "10.0.0.1:8", "tls://db@10.0.0.1:8"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            let endpoint = text.parse::<Endpoint>().unwrap().at(address);
            assert_eq!(endpoint.as_str(), expected);
            assert_eq!(endpoint.server_name(), "db");
            let dialled = Endpoint::from(address);
            assert_eq!(
                (endpoint.host(), endpoint.port()),
                (dialled.host(), dialled.port())
            );
        }
        let address = SocketAddr::from(([10, 0, 0, 1], 8));
        for text in ["unix:///run/x", "mem://server", "tcp://:80"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.at(address), endpoint);
            assert_eq!(endpoint.server_name(), endpoint.host());
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_and_what_parses_prints_as_it_was(
            text in "(tcp|tls|unix|mem|x)?(://)?[a-z:/\\[\\]%.@\\PC]{0,12}(:[0-9]{0,6})?"
        ) {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string(), &*text);
                prop_assert!(text.contains(endpoint.host()));
            }
        }
    }
}
