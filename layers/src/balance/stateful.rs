//! Balancers with a state of their own.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{Choice, Pick};
use crate::{Context, replicas::Member};

/// A balancer that is told who comes and goes, and is never called by two at once.
pub trait Balancer: Send + 'static {
    /// A member has come.
    fn add(&mut self, member: &Member);

    /// A member has gone.
    fn remove(&mut self, member: &Member);

    /// Chooses one of the members that are there, or `None` to let the call wait.
    fn pick(&mut self, cx: &Context) -> Option<Member>;
}

/// Picks by a [`Balancer`], behind a lock.
///
/// Each call takes the lock and compares the members with those that the balancer knows. Where that is felt,
/// implement [`Pick`].
pub struct Stateful<B>(Mutex<Known<B>>);

struct Known<B> {
    balancer: B,
    members: Vec<Member>,
}

impl<B: Balancer> Stateful<B> {
    /// Picks by `balancer`, which knows no members yet.
    pub fn new(balancer: B) -> Self {
        Self(Mutex::new(Known {
            balancer,
            members: Vec::new(),
        }))
    }
}

impl<B: Balancer> Pick for Stateful<B> {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.members != members {
            known.learn(members);
        }
        let Some(picked) = known.balancer.pick(cx) else {
            return Choice::Wait;
        };
        match members.iter().position(|member| *member == picked) {
            Some(place) => Choice::Member(place),
            // It chose one that was removed: as good as none.
            None => Choice::Wait,
        }
    }
}

impl<B: Balancer> Known<B> {
    fn learn(&mut self, members: &[Member]) {
        for gone in self.members.iter().filter(|one| !members.contains(one)) {
            self.balancer.remove(gone);
        }
        for new in members.iter().filter(|one| !self.members.contains(one)) {
            self.balancer.add(new);
        }
        self.members = members.to_vec();
    }
}

impl<B> fmt::Debug for Stateful<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stateful").finish_non_exhaustive()
    }
}
