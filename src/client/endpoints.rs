//! Where a client connects to.

use std::{net::SocketAddr, str::FromStr};

use crate::{Address, Endpoint, transport::InvalidEndpoint};

/// One endpoint or several, each a replica of the same server: `tcp://10.0.0.1:7000,tcp://10.0.0.2:7000`.
///
/// Whatever is an [`Endpoint`] is a list of one. One that is listed twice counts once.
///
/// ```
/// use steeple::client::Endpoints;
///
/// let endpoints: Endpoints = "tcp://10.0.0.1:7000, tcp://10.0.0.2:7000".parse()?;
/// assert_eq!(endpoints.as_slice()[1].host(), "10.0.0.2");
/// # Ok::<_, steeple::transport::InvalidEndpoint>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(Vec<Endpoint>);

impl Endpoints {
    /// The endpoints, in the order in which they were listed.
    pub fn as_slice(&self) -> &[Endpoint] {
        &self.0
    }
}

impl FromStr for Endpoints {
    type Err = InvalidEndpoint;

    /// Endpoints with commas between them, and spaces if need be.
    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        text.split(',').map(|one| one.trim().parse()).collect()
    }
}

impl FromIterator<Endpoint> for Endpoints {
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        let mut unique = Vec::new();
        for endpoint in endpoints {
            if !unique.contains(&endpoint) {
                unique.push(endpoint);
            }
        }
        Self(unique)
    }
}

impl IntoIterator for Endpoints {
    type Item = Endpoint;
    type IntoIter = std::vec::IntoIter<Endpoint>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl TryFrom<&str> for Endpoints {
    type Error = InvalidEndpoint;

    fn try_from(text: &str) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoints {
    type Error = InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoints {
    type Error = InvalidEndpoint;

    fn try_from(text: &String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

/// What a listener reports can be dialled, unless a transport of one's own has named it.
impl TryFrom<&Address> for Endpoints {
    type Error = InvalidEndpoint;

    fn try_from(address: &Address) -> Result<Self, InvalidEndpoint> {
        Endpoint::try_from(address).map(Self::from)
    }
}

impl From<Endpoint> for Endpoints {
    fn from(endpoint: Endpoint) -> Self {
        Self(vec![endpoint])
    }
}

impl From<&Endpoint> for Endpoints {
    fn from(endpoint: &Endpoint) -> Self {
        endpoint.clone().into()
    }
}

impl From<SocketAddr> for Endpoints {
    fn from(address: SocketAddr) -> Self {
        Endpoint::from(address).into()
    }
}

impl From<Vec<Endpoint>> for Endpoints {
    fn from(endpoints: Vec<Endpoint>) -> Self {
        endpoints.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_each_endpoint_once_and_names_the_one_that_is_none() {
        let list: Endpoints = "tcp://a:1,tcp://b:2 , tcp://a:1".parse().unwrap();
        let texts: Vec<_> = list.as_slice().iter().map(Endpoint::as_str).collect();
        assert_eq!(texts, ["tcp://a:1", "tcp://b:2"]);
        for (text, wrong) in [
            ("", "\"\""),
            ("tcp://a:1,", "\"\""),
            ("tcp://a:1,b:2", "b:2"),
        ] {
            let error = text.parse::<Endpoints>().unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
