//! Some of many.

use std::fmt;

use super::{Resolution, Resolver, Target, Version};
use crate::{BoxError, mix};

/// A resolver of some of another's endpoints, chosen by who asks.
///
/// With a thousand clients and a hundred servers, each client needs no hundred connections. Each takes those
/// that a hash of it and of the address puts first: so servers have about as many clients each, a client keeps
/// its endpoints over restarts, and one that comes or goes changes one at most.
#[derive(Clone, Debug)]
pub struct Subset<R> {
    resolver: R,
    count: usize,
    client: u64,
}

impl<R> Subset<R> {
    /// The `count` endpoints, at least 1, that belong to `client`, a name that no other client has.
    pub fn new(resolver: R, count: usize, client: &str) -> Self {
        Self {
            resolver,
            count: count.max(1),
            client: mix::hash(client),
        }
    }
}

impl<T, R> Resolver<T> for Subset<R>
where
    T: fmt::Display + Send + 'static,
    R: Resolver<T>,
{
    fn is_constant(&self) -> bool {
        self.resolver.is_constant()
    }

    async fn resolve(&self, after: Option<&Version>) -> Result<Resolution<T>, BoxError> {
        let mut resolution = self.resolver.resolve(after).await?;
        let rank = |target: &Target<T>| {
            let address = target.endpoint().to_string();
            (mix::mix(self.client ^ mix::hash(&address)), address)
        };
        resolution.targets.sort_by_cached_key(rank);
        resolution.targets.truncate(self.count);
        Ok(resolution)
    }
}
