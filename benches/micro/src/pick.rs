//! The choice of a replica, and nothing else: no call is made.

use std::hint::black_box;

use steeple::Context;
use steeple::layers::balance::{Choice, Pick};
use steeple::layers::replicas::Member;

/// A picker and what it chooses from.
pub(crate) struct Picks<P> {
    pick: P,
    members: Vec<Member>,
}

impl<P: Pick> Picks<P> {
    /// Over so many members without history.
    pub(crate) fn new(pick: P, members: usize) -> Self {
        let members = (0..members).map(|number| Member::new(format!("tcp://10.0.0.{number}:7000")));
        Self {
            pick,
            members: members.collect(),
        }
    }

    /// Picks for so many calls, which began at the same time.
    pub(crate) fn run(&self, calls: usize) {
        let mut cx = Context::new("Echo");
        cx.start();
        for (seed, key) in (1_u32..).zip(0..calls as u64) {
            cx.set_seed(seed).set_shard_key(key);
            let choice = self.pick.pick(black_box(&self.members), &cx);
            assert!(matches!(choice, Choice::Member(place) if place < self.members.len()));
        }
    }
}
