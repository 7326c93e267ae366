//! Which replicas a call has come to, and by how many attempts, told to the layers that repeat it.
//!
//! Between a layer that repeats calls and the replicas there may be others, whose futures and errors are their own.
//! So this takes no type along: a replica [notes](note) a call when it is first polled, a layer that repeats the call
//! [numbers](number) the attempt that it makes, and who polls from above [watches](watch) at each poll what is noted
//! meanwhile, on the same thread. What it saw goes into the context of the next attempt.
//! A layer that polls its call in a task of its own keeps it to itself; then the [order](crate::balance::Permutation)
//! of a call's attempts is all that leads them elsewhere.

use std::{cell::Cell, fmt};

/// A set of replicas, by their marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried(u16);

/// What is seen of the attempts of a call, from above: one word, as it is looked at whenever a call is polled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(u64);

/// Gives marks to the replicas of a set.
///
/// There are 16, since a request is moved through every layer and has to be small. In a larger set several replicas
/// share one: who has tried one of them passes over the others too, as long as there are more.
pub(crate) struct Marks {
    /// How many have each.
    uses: [usize; MARKS],
}

const MARKS: usize = u16::BITS as usize;

thread_local! {
    static NOTED: Cell<Seen> = const { Cell::new(Seen::NOTHING) };
}

/// Notes that a call has come to this replica, and whether there was no other left for it.
#[inline]
pub(crate) fn note(tried: Tried, was_last: bool) {
    add(Seen::new(tried, was_last, 0));
}

/// Notes the number of an attempt that is made besides the one that came from above.
pub(crate) fn number(attempt: u16) {
    add(Seen::new(Tried::default(), false, attempt));
}

/// Polls, and tells what is noted of the call meanwhile.
#[inline]
pub(crate) fn watch<T>(poll: impl FnOnce() -> T) -> (T, Seen) {
    let before = NOTED.replace(Seen::NOTHING);
    let polled = poll();
    let noted = NOTED.get();
    // Who watches from further above sees this too.
    NOTED.set(noted.with(before));
    (polled, noted)
}

#[inline]
fn add(seen: Seen) {
    NOTED.set(NOTED.get().with(seen));
}

impl Seen {
    const NOTHING: Self = Self(0);
    const LAST: u64 = 1 << 16;
    const ATTEMPT: u64 = 0xffff << 32;

    #[inline]
    fn new(tried: Tried, was_last: bool, attempt: u16) -> Self {
        let last = if was_last { Self::LAST } else { 0 };
        Self(u64::from(tried.0) | last | u64::from(attempt) << 32)
    }

    /// Where they came to.
    #[inline]
    pub(crate) fn tried(self) -> Tried {
        Tried(self.0 as u16)
    }

    /// Whether there was no other replica left for one of them, so that another would meet the same again.
    #[inline]
    pub(crate) fn was_last(self) -> bool {
        self.0 & Self::LAST != 0
    }

    /// The highest number of one that a layer below has made.
    #[inline]
    pub(crate) fn attempt(self) -> u16 {
        (self.0 >> 32) as u16
    }

    #[inline]
    fn with(self, other: Self) -> Self {
        let attempt = (self.0 & Self::ATTEMPT).max(other.0 & Self::ATTEMPT);
        Self((self.0 | other.0) & !Self::ATTEMPT | attempt)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("tried", &self.tried())
            .field("was_last", &self.was_last())
            .field("attempt", &self.attempt())
            .finish()
    }
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
        note(one, true);
        number(9);
        let (inner, outer) = watch(|| {
            note(two, false);
            number(3);
            let ((), inner) = watch(|| {
                note(three, true);
                number(2);
            });
            inner
        });
        assert_eq!(inner, Seen::new(three, true, 2));
        assert_eq!(outer, Seen::new(two.with(three), true, 3));
        assert_eq!(watch(|| {}).1, Seen::NOTHING);
    }
}
