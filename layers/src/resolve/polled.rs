//! Endpoints that are looked up again and again.

#[cfg(unix)]
use std::path::PathBuf;
use std::{
    fmt,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    pin::Pin,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{Resolution, Resolver, Target, Version};
use crate::BoxError;

/// A resolver that looks the endpoints up at intervals. A cheap `Clone`.
///
/// A look-up that fails changes nothing: what was found before stays.
///
/// ```
/// use steeple_layers::resolve::Polled;
///
/// // A line is an endpoint and what is known of it: tcp://10.0.0.1:7000 weight=2 zone=eu priority=1
/// let resolver = Polled::<String>::file("/etc/service/replicas");
/// ```
pub struct Polled<T> {
    look_up: Arc<dyn Fn() -> LookUp<T> + Send + Sync>,
    interval: Duration,
    hold_empty: Duration,
}

type LookUp<T> = Pin<Box<dyn Future<Output = Result<Vec<Target<T>>, BoxError>> + Send>>;

impl<T: 'static> Polled<T> {
    /// The endpoints are what `look_up` answers. Every 5 s unless set.
    pub fn new<F, L>(look_up: F) -> Self
    where
        F: Fn() -> L + Send + Sync + 'static,
        L: Future<Output = Result<Vec<Target<T>>, BoxError>> + Send + 'static,
    {
        Self {
            look_up: Arc::new(move || Box::pin(look_up())),
            interval: Duration::from_secs(5),
            hold_empty: Duration::ZERO,
        }
    }

    /// How long to wait between two look-ups. Default: 5 s.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long a set that has become empty is not believed: a registry that restarts forgets everybody.
    /// Default: 0.
    #[must_use]
    pub fn hold_empty(mut self, time: Duration) -> Self {
        self.hold_empty = time;
        self
    }
}

impl<T> Polled<T>
where
    T: FromStr<Err: Into<BoxError>> + Send + 'static,
{
    /// The endpoints are the lines of a file: an endpoint, and after blanks `weight=2`, `zone=eu` or
    /// `priority=1`. Empty lines do not count, nor what follows a `#`.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path: Arc<Path> = path.as_ref().into();
        Self::new(move || {
            let path = path.clone();
            async move {
                let text = spawn_blocking(move || std::fs::read_to_string(path)).await??;
                parse(&text)
            }
        })
    }
}

#[cfg(unix)]
impl<T: Send + 'static> Polled<T> {
    /// The endpoints are the Unix sockets in a directory; `endpoint` makes one of a path.
    pub fn directory(
        path: impl AsRef<Path>,
        endpoint: impl Fn(PathBuf) -> T + Send + Sync + 'static,
    ) -> Self {
        use std::os::unix::fs::FileTypeExt;

        let path: Arc<Path> = path.as_ref().into();
        let endpoint = Arc::new(endpoint);
        Self::new(move || {
            let (path, endpoint) = (path.clone(), endpoint.clone());
            let read = move || {
                let mut targets = Vec::new();
                for entry in std::fs::read_dir(path)? {
                    let entry = entry?;
                    if entry.file_type()?.is_socket() {
                        targets.push(endpoint(entry.path()).into());
                    }
                }
                Ok(targets)
            };
            async move { spawn_blocking(read).await? }
        })
    }
}

impl<T: fmt::Display + Send + 'static> Resolver<T> for Polled<T> {
    async fn resolve(&self, after: Option<&Version>) -> Result<Resolution<T>, BoxError> {
        let Some(after) = after else {
            let targets = (self.look_up)().await?;
            let version = fingerprint(&targets);
            return Ok(Resolution::versioned(targets, version));
        };
        let mut empty_since = None;
        loop {
            sleep(self.interval).await;
            let targets = (self.look_up)().await?;
            let version = fingerprint(&targets);
            let is_held = targets.is_empty()
                && empty_since.get_or_insert_with(Instant::now).elapsed() < self.hold_empty;
            if version != *after && !is_held {
                return Ok(Resolution::versioned(targets, version));
            }
            if !targets.is_empty() {
                empty_since = None;
            }
        }
    }
}

impl<T> Clone for Polled<T> {
    fn clone(&self) -> Self {
        Self {
            look_up: self.look_up.clone(),
            interval: self.interval,
            hold_empty: self.hold_empty,
        }
    }
}

impl<T> fmt::Debug for Polled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled")
            .field("interval", &self.interval)
            .field("hold_empty", &self.hold_empty)
            .finish_non_exhaustive()
    }
}

/// The same for the same endpoints in whatever order.
fn fingerprint<T: fmt::Display>(targets: &[Target<T>]) -> Version {
    let text = |target: &Target<T>| {
        let (endpoint, zone) = (target.endpoint(), target.zone());
        format!(
            "{endpoint} {} {} {zone:?}",
            target.weight(),
            target.priority()
        )
    };
    let mut texts: Vec<_> = targets.iter().map(text).collect();
    texts.sort_unstable();
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish().into()
}

fn parse<T: FromStr<Err: Into<BoxError>>>(text: &str) -> Result<Vec<Target<T>>, BoxError> {
    let mut targets = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let Some(endpoint) = words.next() else {
            continue;
        };
        let endpoint = endpoint.parse::<T>().map_err(|error| {
            let error = error.into();
            format!("line {number}: {endpoint:?} is no endpoint: {error}")
        })?;
        let mut target = Target::new(endpoint);
        for word in words {
            let unknown = || format!("line {number}: {word:?} is not weight=, zone= or priority=");
            let value = |value: &str| {
                value
                    .parse()
                    .map_err(|_| format!("line {number}: {word:?} is no number"))
            };
            target = match word.split_once('=').ok_or_else(unknown)? {
                ("weight", text) => target.with_weight(value(text)?),
                ("priority", text) => target.with_priority(value(text)?),
                ("zone", text) => target.with_zone(text),
                _ => return Err(unknown().into()),
            };
        }
        targets.push(target);
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_an_endpoint_and_its_attributes_in_a_line() {
        let text = "# all of them\n\n10.0.0.1:1 weight=3 zone=eu  # big\n10.0.0.2:1 priority=1\n";
        let targets = parse::<std::net::SocketAddr>(text).unwrap();
        assert_eq!(targets.len(), 2);
        assert_eq!((targets[0].weight(), targets[0].zone()), (3, Some("eu")));
        assert_eq!(targets[1].priority(), 1);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (text, part) in [
            ("nowhere", "line 1: \"nowhere\" is no endpoint"),
            ("\n1.1.1.1:1 weight=x", "line 2: \"weight=x\" is no number"),
            ("1.1.1.1:1 heavy", "\"heavy\" is not weight="),
            ("1.1.1.1:1 colour=red", "\"colour=red\" is not weight="),
        ] {
            let error = parse::<std::net::SocketAddr>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_order_of_endpoints_is_no_news() {
        let (one, other): (Target<_>, Target<_>) = ("a".into(), "b".into());
        let version = fingerprint(&[one.clone(), other.clone()]);
        assert_eq!(fingerprint(&[other.clone(), one.clone()]), version);
        assert_ne!(fingerprint(&[one, other.with_weight(2)]), version);
    }
}
