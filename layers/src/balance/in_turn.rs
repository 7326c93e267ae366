//! One after the other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    Choice, Pick,
    line::Line,
    p2c::{now, untried},
};
use crate::{Context, mix::mix, replicas::Member};

/// Takes the replicas in turn, whatever their weight, and in a slow start as often as any other. Another attempt goes to the
/// one after, or the next that was not tried.
#[derive(Debug, Default)]
pub struct RoundRobin {
    turns: Turns,
}

/// Takes the replicas in turn, each as often as its weight says, and less often in its slow start, spread evenly: of weights
/// 3 and 1, the first three times before the other comes again. Another attempt goes to the one after.
#[derive(Debug, Default)]
pub struct WeightedRoundRobin {
    turns: Turns,
}

/// Counts the calls, and remembers which turn a call had, if there are not too many others between its attempts.
#[derive(Debug)]
struct Turns {
    next: AtomicU64,
    /// By seed: the seed, and the turn.
    recent: [AtomicU64; RECENT],
}

/// A call finds its turn again with this many others between its attempts, more or less; a repeat is no worse
/// than chance would have it.
const RECENT: usize = 256;

impl Pick for RoundRobin {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        let turn = u64::from(self.turns.of(cx)) + u64::from(cx.attempt());
        let place = (turn % members.len() as u64) as usize;
        Choice::Member(untried(members, cx, place))
    }
}

impl Pick for WeightedRoundRobin {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        // Multiples of the golden ratio fall evenly on the line.
        let point = self.turns.of(cx).wrapping_mul(0x9e37_79b9);
        let hit = Line::of(members, now(cx)).place(u64::from(point) << 32);
        let place = hit + cx.attempt() as usize;
        Choice::Member(untried(members, cx, place % members.len()))
    }
}

impl Turns {
    /// The turn of a call: a new one, unless this is another attempt.
    fn of(&self, cx: &Context) -> u32 {
        let slot = &self.recent[mix(cx.seed().into()) as usize % RECENT];
        let tag = u64::from(cx.seed()) << 32;
        if cx.attempt() > 0 {
            let word = slot.load(Relaxed);
            if word & !u64::from(u32::MAX) == tag {
                return word as u32;
            }
        }
        let turn = self.next.fetch_add(1, Relaxed) as u32;
        slot.store(tag | u64::from(turn), Relaxed);
        turn
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(0),
            recent: [const { AtomicU64::new(0) }; RECENT],
        }
    }
}
