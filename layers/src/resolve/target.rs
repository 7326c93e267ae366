//! One endpoint of an answer.

use std::sync::Arc;

/// An endpoint and what a balancer may want to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target<T> {
    endpoint: T,
    attributes: Attributes,
}

/// What is known of an endpoint apart from where it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attributes {
    pub(crate) weight: u32,
    pub(crate) zone: Option<Arc<str>>,
    pub(crate) priority: u32,
}

impl<T> Target<T> {
    /// An endpoint of weight 1 and priority 0 in no zone.
    pub fn new(endpoint: T) -> Self {
        Self {
            endpoint,
            attributes: Attributes::default(),
        }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &T {
        &self.endpoint
    }

    /// What share of the calls it should have, against the weights of the others, from a picker that
    /// [goes by it](crate::balance#weights-and-slow-start).
    pub fn weight(&self) -> u32 {
        self.attributes.weight
    }

    /// Sets the weight. Default: 1, which is also the least.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.attributes.weight = weight.max(1);
        self
    }

    /// Where it stands, if that was said: a data centre, a rack.
    pub fn zone(&self) -> Option<&str> {
        self.attributes.zone.as_deref()
    }

    /// Sets the zone.
    #[must_use]
    pub fn with_zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.attributes.zone = Some(zone.into());
        self
    }

    /// Its tier: the endpoints of the lowest number are called, and those of the next only if
    /// [too few](crate::replicas::Builder::tier_share) of them can be.
    pub fn priority(&self) -> u32 {
        self.attributes.priority
    }

    /// Sets the tier. Default: 0, the first.
    #[must_use]
    pub fn with_priority(mut self, priority: u32) -> Self {
        self.attributes.priority = priority;
        self
    }

    pub(crate) fn into_endpoint(self) -> T {
        self.endpoint
    }

    pub(crate) fn add_weight(&mut self, weight: u32) {
        self.attributes.weight = self.attributes.weight.saturating_add(weight);
    }

    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }
}

impl<T> From<T> for Target<T> {
    fn from(endpoint: T) -> Self {
        Self::new(endpoint)
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            weight: 1,
            zone: None,
            priority: 0,
        }
    }
}
