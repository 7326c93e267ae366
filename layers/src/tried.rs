//! Which replicas a call has come to, told to the layers that repeat it.
//!
//! Between a layer that repeats calls and the replicas there may be others, whose futures and errors are their own.
//! So this takes no type along: a replica [notes](note) that a call of it was polled, and who polls from above
//! [watches](watch) what is noted meanwhile, on the same thread. What it saw goes into the context of the next attempt.
//! A layer that polls its call in a task of its own keeps it to itself; then the [order](crate::balance::Permutation)
//! of a call's attempts is all that leads them elsewhere.

use std::cell::Cell;

/// A set of replicas, by their marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried(u16);

/// Gives marks to the replicas of a set.
///
/// There are 16, since a request is moved through every layer and has to be small. In a larger set several replicas share one: who has tried one of them passes over the others too, as
/// long as there are more.
pub(crate) struct Marks {
    /// How many have each.
    uses: [usize; MARKS],
}

const MARKS: usize = u16::BITS as usize;

thread_local! {
    static NOTED: Cell<Tried> = const { Cell::new(Tried(0)) };
}

/// Notes that a call has come to these.
#[inline]
pub(crate) fn note(tried: Tried) {
    NOTED.set(NOTED.get().with(tried));
}

/// Polls, and tells which replicas the call has come to.
#[inline]
pub(crate) fn watch<T>(poll: impl FnOnce() -> T) -> (T, Tried) {
    let before = NOTED.replace(Tried::default());
    let polled = poll();
    let noted = NOTED.get();
    // Who watches from further above sees these too.
    note(before);
    (polled, noted)
}

impl Tried {
    /// The mark of that number, beginning again after the last.
    pub(crate) fn one(number: usize) -> Self {
        Self(1 << (number % MARKS))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn count(self) -> u32 {
        self.0.count_ones()
    }

    #[inline]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Marks {
    /// Those that are left beside these.
    pub(crate) fn beside(given: impl Iterator<Item = Tried>) -> Self {
        let mut uses = [0; MARKS];
        for mark in given {
            uses[mark.0.trailing_zeros() as usize] += 1;
        }
        Self { uses }
    }

    /// The one that the fewest have.
    pub(crate) fn take(&mut self) -> Tried {
        let fewest = (0..MARKS).min_by_key(|number| self.uses[*number]);
        let fewest = fewest.unwrap_or_default();
        self.uses[fewest] += 1;
        Tried::one(fewest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_shared_only_once_all_are_given() {
        let given = [3, 5].map(Tried::one);
        let mut marks = Marks::beside(given.into_iter());
        let mut all = given[0].with(given[1]);
        for _ in 2..MARKS {
            let mark = marks.take();
            assert!(!all.has(mark));
            all = all.with(mark);
        }
        assert_eq!(all.count() as usize, MARKS);
        assert_eq!(marks.take().count(), 1);
    }

    #[test]
    fn who_watches_sees_what_was_noted_below_and_nothing_from_before_or_beside() {
        let (one, two, three) = (Tried::one(1), Tried::one(2), Tried::one(3));
        note(one);
        let (inner, outer) = watch(|| {
            note(two);
            let ((), inner) = watch(|| note(three));
            inner
        });
        assert_eq!((inner, outer), (three, two.with(three)));
        assert_eq!(watch(|| {}).1, Tried::default());
    }
}
