//! A replica as a picker sees it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{options::Options, stats::Stats};
use crate::{Context, mix, moment::Moment, resolve::Attributes, tried::Tried};

/// A replica that can be called: where it is, and how it does. Cheap to clone.
#[derive(Clone)]
pub struct Member {
    hash: u64,
    attributes: Attributes,
    stats: Arc<Stats>,
    standing: Standing,
}

/// How those compare that can be called together, so that a call which finds them all alike needs to look at one only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// The weight of one on average.
    weight: f32,
    has_weights: bool,
    warm_from: Moment,
}

impl Member {
    /// A member of no set, without history, to test a picker with.
    pub fn new(address: impl Into<Arc<str>>) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mark = Tried::one(NUMBER.fetch_add(1, Relaxed));
        let stats = Stats::new(&Options::default(), address.into(), mark);
        Self::with(Attributes::default(), Arc::new(stats))
    }

    pub(super) fn with(attributes: Attributes, stats: Arc<Stats>) -> Self {
        Self {
            hash: mix::hash(&stats.address),
            attributes,
            stats,
            standing: Standing::default(),
        }
    }

    /// The same replica, with other attributes.
    pub(super) fn with_attributes(&self, attributes: Attributes) -> Self {
        Self {
            attributes,
            ..self.clone()
        }
    }

    /// The same replica, among others.
    pub(super) fn with_standing(&self, standing: Standing) -> Self {
        Self {
            standing,
            ..self.clone()
        }
    }

    /// Where it is, as text. Unique in its set.
    pub fn address(&self) -> &str {
        &self.stats.address
    }

    /// A hash of the address, the same in every process and version.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// What share of the calls it should have, against the weights of the others; at least 1. Which pickers go by it is told
    /// [there](crate::balance#weights-and-slow-start).
    pub fn weight(&self) -> u32 {
        self.attributes.weight
    }

    /// Where it stands, if its resolver says so.
    pub fn zone(&self) -> Option<&str> {
        self.attributes.zone.as_deref()
    }

    /// Its tier: [of the first](super::Builder::tier_share), as long as enough of these can be called.
    pub fn priority(&self) -> u32 {
        self.attributes.priority
    }

    /// Whether an earlier attempt of the call came to this member, as far as the layer that repeats it could see: it
    /// does, unless there is one between that polls the call in a task of its own. Of more than 16 members, some that
    /// were not tried count as tried too.
    pub fn was_tried(&self, cx: &Context) -> bool {
        cx.tried().has(self.stats.mark)
    }

    /// How many calls are under way.
    pub fn pending(&self) -> usize {
        self.stats.gate.calls()
    }

    /// How many calls in a row have failed.
    pub fn failures(&self) -> u32 {
        self.stats.failures()
    }

    /// How long a call takes, lately: a moving average over about ten seconds that follows a slow call at
    /// once. A failure counts as one that took at least
    /// [`failure_penalty`](super::Builder::failure_penalty). Of a member that is balanced alone, a call in each
    /// millisecond is timed and not all.
    pub fn latency(&self, now: Instant) -> Duration {
        let nanos = self.stats.latency.estimate(Moment::from(now).millis());
        Duration::from_nanos(nanos as u64)
    }

    /// What share of its [weight](Self::weight) it can bear at `now`: from 0.1 when it goes live to 1 after
    /// [`slow_start`](super::Builder::slow_start).
    pub fn warmth(&self, now: Instant) -> f32 {
        self.stats.warmth(Moment::from(now))
    }

    /// What another call costs: its latency times its [crowd](Self::crowd).
    pub fn cost(&self, now: Instant) -> f32 {
        self.cost_at(Moment::from(now))
    }

    /// How many calls are under way, with one more. Those under way count by weight and warmth, against the weight of the
    /// others: at rest it is 1 for each, so that a choice by it goes by chance there.
    pub fn crowd(&self, now: Instant) -> f32 {
        self.crowd_at(Moment::from(now))
    }

    #[inline]
    pub(crate) fn cost_at(&self, now: Moment) -> f32 {
        self.stats.latency.estimate(now.millis()) * self.crowd_at(now)
    }

    #[inline]
    pub(crate) fn crowd_at(&self, now: Moment) -> f32 {
        let pending = self.pending() as f32;
        match self.is_even(now) {
            true => pending + 1.0,
            false => pending * self.standing.weight / self.share_at(now) + 1.0,
        }
    }

    /// Whether all that can be called together should have the same share of the calls at `now`.
    #[inline]
    pub(crate) fn is_even(&self, now: Moment) -> bool {
        !self.standing.has_weights && now >= self.standing.warm_from
    }

    /// What share of the calls it should have: its weight by its warmth.
    #[inline]
    pub(crate) fn share_at(&self, now: Moment) -> f32 {
        let weight = self.weight() as f32;
        match now >= self.standing.warm_from {
            true => weight,
            false => weight * self.stats.warmth(now),
        }
    }

    pub(super) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    pub(super) fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    pub(super) fn address_arc(&self) -> &Arc<str> {
        &self.stats.address
    }
}

impl Standing {
    /// Of these together, at least one.
    pub(super) fn of<'a>(members: impl Iterator<Item = &'a Member> + Clone) -> Self {
        let weights = members.clone().map(Member::weight);
        let count = weights.clone().count().max(1);
        let sum: f32 = weights.clone().map(|weight| weight as f32).sum();
        let warm = members.map(|member| member.stats.warm_from());
        Self {
            weight: sum / count as f32,
            has_weights: weights.clone().min() != weights.max(),
            warm_from: warm.max().unwrap_or_default(),
        }
    }
}

/// Of one alone.
impl Default for Standing {
    fn default() -> Self {
        Self {
            weight: 1.0,
            has_weights: false,
            warm_from: Moment::NONE,
        }
    }
}

/// The same replica: of one set, at one address.
impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stats, &other.stats)
    }
}

impl Eq for Member {}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("address", &self.address())
            .field("weight", &self.weight())
            .field("pending", &self.pending())
            .field("failures", &self.failures())
            .finish_non_exhaustive()
    }
}
