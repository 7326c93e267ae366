//! Where the replicas are: resolvers.
//!
//! A [`Resolver`] says which endpoints there are now, and when asked with the [`Version`] of an answer, waits
//! until there is a newer one. It can be used by itself, and by any number of tasks.
//!
//! | resolver | the endpoints are |
//! |---|---|
//! | [`Fixed`] | a list that never changes |
//! | [`Polled::new`] | what a function of yours answers, asked again and again |
//! | [`Polled::file`] | the lines of a file |
//! | [`Polled::directory`] | the Unix sockets in a directory |
//! | `Polled::dns` (feature `dns`) | the addresses of a host name, as the system resolves it |
//! | [`Streamed`] | what a `Stream` of sets or changes says |
//! | [`Subset`] | some of another resolver's, so that many clients do not connect to every server |
//!
//! ```
//! use steeple_layers::resolve::{Fixed, Resolver, Target};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), steeple_layers::BoxError> {
//! let resolver = Fixed::new(["tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000"])?;
//! let resolution = resolver.resolve(None).await?;
//! for target in resolution.targets() {
//!     println!("{}", target.endpoint());
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "dns")]
mod dns;
mod fixed;
mod polled;
mod streamed;
mod subset;
mod target;

use std::{fmt, future::Future, sync::Arc};

pub(crate) use self::target::Attributes;
pub use self::{
    fixed::Fixed,
    polled::Polled,
    streamed::{Change, Streamed},
    subset::Subset,
    target::Target,
};
use crate::BoxError;

/// Says which endpoints there are.
///
/// A resolver is constant or versioned:
///
/// * a *constant* one answers always the same, without a version, and not the empty set;
/// * a *versioned* one gives each answer a version. Asked with `None` it answers at once; asked with a version
///   it waits until there is something newer. It may give up waiting and answer the same version, which means:
///   ask again later.
pub trait Resolver<T>: Send + Sync + 'static {
    /// Whether the answer never changes. False unless overridden.
    fn is_constant(&self) -> bool {
        false
    }

    /// The endpoints now, or once they are newer than `after`. To be dropped without harm.
    ///
    /// # Errors
    /// Whatever is in the way; whoever asks tries again after a while. A set takes a panic for an error too.
    fn resolve(
        &self,
        after: Option<&Version>,
    ) -> impl Future<Output = Result<Resolution<T>, BoxError>> + Send;
}

/// The endpoints at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution<T> {
    targets: Vec<Target<T>>,
    version: Option<Version>,
}

/// The version of an answer, opaque to all but the resolver that gave it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

impl<T> Resolution<T> {
    /// The answer of a constant resolver.
    pub fn constant(targets: Vec<Target<T>>) -> Self {
        Self {
            targets,
            version: None,
        }
    }

    /// The answer of a versioned resolver.
    pub fn versioned(targets: Vec<Target<T>>, version: impl Into<Version>) -> Self {
        Self {
            targets,
            version: Some(version.into()),
        }
    }

    /// The endpoints with their attributes.
    pub fn targets(&self) -> &[Target<T>] {
        &self.targets
    }

    /// The version, unless the resolver is constant.
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    pub(crate) fn into_targets(self) -> Vec<Target<T>> {
        self.targets
    }
}

impl Version {
    /// The version of what does not exist yet.
    pub fn missing() -> Self {
        "__tombstone__".to_owned().into()
    }

    /// The text, as the resolver wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<u64> for Version {
    fn from(number: u64) -> Self {
        number.to_string().into()
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

/// A resolver that is shared is one.
impl<T, R: Resolver<T>> Resolver<T> for Arc<R> {
    fn is_constant(&self) -> bool {
        (**self).is_constant()
    }

    fn resolve(
        &self,
        after: Option<&Version>,
    ) -> impl Future<Output = Result<Resolution<T>, BoxError>> + Send {
        (**self).resolve(after)
    }
}
