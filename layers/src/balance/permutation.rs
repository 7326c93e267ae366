//! Which replicas a call tries, and in which order.

use crate::{Context, mix::mix};

/// The order in which a call tries the members of a snapshot: a random one that follows from the call's
/// [seed](Context::seed), so that each attempt knows what those before it chose.
///
/// ```
/// use steeple_layers::{Context, balance::Permutation};
///
/// let mut cx = Context::new("Echo");
/// cx.set_seed(7);
/// let order = Permutation::of(&cx, 5);
/// let mut places: Vec<_> = (0..5).map(|position| order.place(position)).collect();
/// places.sort();
/// assert_eq!(places, [0, 1, 2, 3, 4]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    seed: u64,
    count: usize,
}

/// What is drawn for a position depends on all before it, and attempts are few: so many positions are
/// different, and those after them begin again.
const POSITIONS: usize = 64;

impl Permutation {
    /// The order of the places below `count`, at least 1, for a call.
    pub fn of(cx: &Context, count: usize) -> Self {
        Self {
            seed: cx.seed().into(),
            count: count.max(1),
        }
    }

    /// The place at a position, beginning again after the last or the 64th. It takes a step for each position
    /// before it, squared.
    pub fn place(&self, position: usize) -> usize {
        let position = position % self.count.min(POSITIONS);
        // The places drawn so far, in order.
        let mut drawn = [0; POSITIONS];
        for at in 0..=position {
            let mut place = self.draw(at);
            let mut rank = 0;
            // The free place of that number: each drawn one at or before it moves it on by one.
            while rank < at && drawn[rank] <= place {
                place += 1;
                rank += 1;
            }
            if at == position {
                return place;
            }
            drawn.copy_within(rank..at, rank + 1);
            drawn[rank] = place;
        }
        unreachable!("the loop returns at the position")
    }

    /// All places that have a position, from this one on.
    pub(super) fn places_from(&self, position: usize) -> impl Iterator<Item = usize> {
        let count = self.count.min(POSITIONS);
        (0..count).map(move |next| self.place(position % count + next))
    }

    /// The two places that attempt `attempt` compares; the same twice, if only one is left.
    pub fn pair(&self, attempt: u32) -> (usize, usize) {
        let (attempt, count) = (attempt as usize, self.count.min(POSITIONS));
        let first = attempt % count.div_ceil(2) * 2;
        match first + 1 < count {
            // The pair of nearly all calls.
            true if first == 0 => {
                let one = self.draw(0);
                let other = self.draw(1);
                (one, other + usize::from(other >= one))
            }
            true => (self.place(first), self.place(first + 1)),
            false => {
                let place = self.place(first);
                (place, place)
            }
        }
    }

    /// A number below the number of the places that are still free.
    fn draw(&self, position: usize) -> usize {
        let free = self.count - position;
        // The high half of a product is as even as a remainder, and no division.
        ((u128::from(self.chance(position)) * free as u128) >> 64) as usize
    }

    /// Any number, which follows from the call and the position.
    pub(super) fn chance(&self, position: usize) -> u64 {
        let step = (position as u64 + 1).wrapping_mul(GOLDEN);
        mix(self.seed.wrapping_add(step))
    }
}

/// The fraction of the golden ratio: multiples of it are far from each other.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seed: u32, count: usize) -> Permutation {
        let mut cx = Context::new("Echo");
        cx.set_seed(seed);
        Permutation::of(&cx, count)
    }

    #[test]
    fn each_place_comes_once_and_then_again() {
        for count in [1, 2, 3, 7, 64] {
            for seed in 0..50 {
                let order = order(seed, count);
                let mut places: Vec<_> = (0..count).map(|at| order.place(at)).collect();
                assert_eq!(order.place(count), places[0]);
                places.sort_unstable();
                assert!(places.iter().copied().eq(0..count), "{places:?}");
            }
        }
        let mut many: Vec<_> = (0..64).map(|at| order(1, 1000).place(at)).collect();
        many.sort_unstable();
        many.dedup();
        assert_eq!(many.len(), 64);
        assert!(many[63] < 1000);
    }

    #[test]
    fn pairs_are_the_positions_two_by_two() {
        for seed in 0..50 {
            let order = order(seed, 7);
            for attempt in 0..3 {
                let at = attempt as usize * 2;
                assert_eq!(order.pair(attempt), (order.place(at), order.place(at + 1)));
            }
            assert_eq!(order.pair(3), (order.place(6), order.place(6)));
            assert_eq!(order.pair(4), order.pair(0));
        }
    }

    #[test]
    fn every_place_is_as_likely_at_every_position() {
        const SEEDS: u32 = 7_000;
        let mut counts = [[0_u32; 7]; 7];
        for seed in 0..SEEDS {
            let order = order(seed, 7);
            for (at, counts) in counts.iter_mut().enumerate() {
                counts[order.place(at)] += 1;
            }
        }
        // A thousand each, and a deviation of about thirty.
        let all = counts.as_flattened();
        assert!(
            all.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }
}
