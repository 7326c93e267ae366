//! A list that never changes.

use std::future::{Future, ready};

use super::{Resolution, Resolver, Target, Version};
use crate::{BoxError, Error, Kind};

/// The constant resolver: a list of endpoints.
#[derive(Clone, Debug)]
pub struct Fixed<T>(Vec<Target<T>>);

impl<T> Fixed<T> {
    /// These endpoints, for ever.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] if there are none: nothing could ever be called.
    pub fn new<I>(targets: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: Into<Target<T>>,
    {
        let targets: Vec<_> = targets.into_iter().map(Into::into).collect();
        if targets.is_empty() {
            return Err(Error::new(
                Kind::Unreachable,
                "a constant set of endpoints is empty",
            ));
        }
        Ok(Self(targets))
    }

    /// This one endpoint, for ever.
    pub fn one(target: impl Into<Target<T>>) -> Self {
        Self(vec![target.into()])
    }
}

impl<T: Clone + Send + Sync + 'static> Resolver<T> for Fixed<T> {
    fn is_constant(&self) -> bool {
        true
    }

    fn resolve(
        &self,
        _: Option<&Version>,
    ) -> impl Future<Output = Result<Resolution<T>, BoxError>> + Send {
        ready(Ok(Resolution::constant(self.0.clone())))
    }
}
