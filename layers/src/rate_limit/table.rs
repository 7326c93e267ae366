//! Who has used how much, and who waits for more: without a clock, and without I/O.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    task::Waker,
    time::Duration,
};

use super::rate::{Rate, Used};

/// The keys, each with what it has used and those that wait for their turn.
///
/// A key that has used nothing is not in it. If there are too many, the one goes for whose use it makes the least
/// difference; never one on which a call waits.
#[derive(Debug)]
pub(super) struct Table<K> {
    limits: Limits,
    waiting: usize,
    accounts: HashMap<K, Account>,
    /// The keys on which nobody waits, those first that had used least when they were put there: an index that is brought
    /// up to date where it is read, so that a call costs nothing here.
    idle: BTreeMap<(Used, u64), K>,
    last: u64,
}

/// What a limiter is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) rate: Rate,
    pub(super) max_keys: usize,
    pub(super) max_waiting: usize,
    /// Nothing, if a key may have all places.
    pub(super) max_waiting_of_key: Option<usize>,
}

#[derive(Debug)]
struct Account {
    serial: u64,
    used: Used,
    /// What it had used when it was put into the index.
    indexed: Used,
    /// Those that wait, in the order in which they came.
    line: BTreeMap<u64, Option<Waker>>,
}

/// What becomes of a call that comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Passed,
    /// By this number.
    Waiting(u64),
    /// It could pass after so long, if it did not have to wait for that.
    Refused(Duration),
    /// On every key there is a call that waits, and there can be no further key.
    Full,
}

/// What becomes of a call that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Passed,
    /// It is the next, after so long.
    Next(Duration),
    /// Others are before it.
    Behind,
}

impl<K: Hash + Eq + Clone> Table<K> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: 0,
            accounts: HashMap::new(),
            idle: BTreeMap::new(),
            last: 0,
        }
    }

    /// Takes a call that has so much time to wait.
    pub(super) fn enter(&mut self, key: &K, patience: Option<Duration>, now: Duration) -> Entry {
        let Limits {
            rate, max_waiting, ..
        } = self.limits;
        let Some(account) = self.accounts.get_mut(key) else {
            return match self.open(key, now) {
                true => Entry::Passed,
                false => Entry::Full,
            };
        };
        let wait = rate.wait(account.used, account.line.len(), now);
        if wait.is_zero() && account.line.is_empty() {
            account.used = rate.spend(account.used, now);
            return Entry::Passed;
        }
        let has_time = patience.is_none_or(|patience| wait < patience);
        let most = self.limits.max_waiting_of_key;
        let has_place =
            self.waiting < max_waiting && most.is_none_or(|most| account.line.len() < most);
        if !has_time || !has_place {
            return Entry::Refused(wait);
        }
        if account.line.is_empty() {
            self.idle.remove(&(account.indexed, account.serial));
        }
        self.last += 1;
        self.waiting += 1;
        account.line.insert(self.last, None);
        Entry::Waiting(self.last)
    }

    /// Whether it is the turn of a call that waits. The next one, if it has one then, is to be woken.
    pub(super) fn turn(
        &mut self,
        key: &K,
        serial: u64,
        waker: &Waker,
        now: Duration,
    ) -> (Turn, Option<Waker>) {
        let rate = self.limits.rate;
        let Some(account) = self.accounts.get_mut(key) else {
            return (Turn::Passed, None);
        };
        let is_first = account.line.keys().next() == Some(&serial);
        let wait = rate.wait(account.used, 0, now);
        if is_first && wait.is_zero() {
            account.used = rate.spend(account.used, now);
            return (Turn::Passed, self.leave(key, serial));
        }
        if let Some(known) = account.line.get_mut(&serial) {
            match known {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
        match is_first {
            true => (Turn::Next(wait), None),
            false => (Turn::Behind, None),
        }
    }

    /// A call waits no longer. The one that is next now is to be woken.
    pub(super) fn leave(&mut self, key: &K, serial: u64) -> Option<Waker> {
        let account = self.accounts.get_mut(key)?;
        let was_first = account.line.keys().next() == Some(&serial);
        account.line.remove(&serial)?;
        self.waiting -= 1;
        match account.line.first_key_value() {
            None => {
                account.indexed = account.used;
                let place = (account.indexed, account.serial);
                self.idle.insert(place, key.clone());
                None
            }
            Some((_, next)) => next.clone().filter(|_| was_first),
        }
    }

    /// The first call of a key is made. False if there is no room for the key.
    fn open(&mut self, key: &K, now: Duration) -> bool {
        self.forget_whole(now);
        if self.accounts.len() >= self.limits.max_keys {
            let Some((_, least)) = self.idle.pop_first() else {
                return false;
            };
            self.accounts.remove(&least);
        }
        self.last += 1;
        let used = self.limits.rate.spend(Used::default(), now);
        self.idle.insert((used, self.last), key.clone());
        let account = Account {
            serial: self.last,
            used,
            indexed: used,
            line: BTreeMap::new(),
        };
        self.accounts.insert(key.clone(), account);
        true
    }

    /// Drops a few of the keys that have all they used back: it is as if they had never been.
    fn forget_whole(&mut self, now: Duration) {
        for _ in 0..FORGOTTEN {
            self.correct_first();
            match self.idle.first_entry() {
                Some(first) if self.limits.rate.is_whole(first.key().0, now) => {
                    self.accounts.remove(&first.remove());
                }
                _ => return,
            }
        }
    }

    /// Brings the beginning of the index up to date.
    fn correct_first(&mut self) {
        for _ in 0..CORRECTED {
            let Some(first) = self.idle.first_entry() else {
                return;
            };
            match self.accounts.get_mut(first.get()) {
                Some(account) if account.used != account.indexed => {
                    account.indexed = account.used;
                    let place = (account.indexed, account.serial);
                    let key = first.remove();
                    self.idle.insert(place, key);
                }
                _ => return,
            }
        }
    }
}

/// Keys that are forgotten when one comes: more than one, so that the table shrinks, and few, since that one waits.
const FORGOTTEN: usize = 4;

/// Places in the index that are corrected at a time, for the same reasons. What is left is off by what was used since.
const CORRECTED: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// One call every 10 ms.
    fn table(max_keys: usize, max_waiting: usize) -> Table<u8> {
        Table::new(Limits {
            rate: Rate::per_second(100).burst(1),
            max_keys,
            max_waiting,
            max_waiting_of_key: None,
        })
    }

    fn turn(table: &mut Table<u8>, key: u8, serial: u64, now: Duration) -> Turn {
        table.turn(&key, serial, Waker::noop(), now).0
    }

    #[test]
    fn those_that_wait_pass_in_the_order_in_which_they_came() {
        let mut table = table(9, 9);
        assert_eq!(table.enter(&1, None, MS), Entry::Passed);
        let waiting = [(); 2].map(|()| match table.enter(&1, None, MS) {
            Entry::Waiting(serial) => serial,
            entry => panic!("{entry:?}"),
        });
        assert_eq!(turn(&mut table, 1, waiting[1], MS), Turn::Behind);
        assert_eq!(turn(&mut table, 1, waiting[0], MS), Turn::Next(10 * MS));
        assert_eq!(turn(&mut table, 1, waiting[1], 11 * MS), Turn::Behind);
        let (first, next) = table.turn(&1, waiting[0], Waker::noop(), 11 * MS);
        assert_eq!((first, next.is_some()), (Turn::Passed, true));
        assert_eq!(
            turn(&mut table, 1, waiting[1], 11 * MS),
            Turn::Next(10 * MS)
        );
        assert_eq!(turn(&mut table, 1, waiting[1], 21 * MS), Turn::Passed);
    }

    #[test]
    fn a_call_without_the_time_for_its_turn_is_told_when_that_is() {
        let mut table = table(9, 9);
        table.enter(&1, None, MS);
        let patient = table.enter(&1, Some(11 * MS), MS);
        assert!(matches!(patient, Entry::Waiting(_)));
        assert_eq!(table.enter(&1, Some(20 * MS), MS), Entry::Refused(20 * MS));
        assert_eq!(table.enter(&2, Some(MS), MS), Entry::Passed);
    }

    #[test]
    fn a_key_has_its_own_places_and_no_more() {
        let mut table = table(9, 5);
        table.limits.max_waiting_of_key = Some(2);
        let mut waiting = |key| {
            let entries = (0..9).map(|_| table.enter(&key, None, MS));
            let waiting = entries.filter(|entry| matches!(entry, Entry::Waiting(_)));
            waiting.count()
        };
        assert_eq!([1, 2, 3].map(&mut waiting), [2, 2, 1]);
    }

    #[test]
    fn a_call_that_leaves_the_line_gives_its_turn_to_the_next() {
        let mut table = table(9, 9);
        table.enter(&1, None, MS);
        let waiting = [(); 3].map(|()| match table.enter(&1, None, MS) {
            Entry::Waiting(serial) => serial,
            entry => panic!("{entry:?}"),
        });
        for serial in waiting {
            turn(&mut table, 1, serial, MS);
        }
        assert!(
            table.leave(&1, waiting[1]).is_none(),
            "the next is the same"
        );
        assert!(table.leave(&1, waiting[0]).is_some());
        assert_eq!(turn(&mut table, 1, waiting[2], 11 * MS), Turn::Passed);
    }

    #[test]
    fn the_key_that_has_used_least_goes_first_and_never_one_with_calls_that_wait() {
        let mut table = table(2, 9);
        table.enter(&1, None, MS);
        let Entry::Waiting(serial) = table.enter(&1, None, MS) else {
            panic!("1 has used its share");
        };
        table.enter(&2, None, 2 * MS);
        assert_eq!(table.enter(&3, None, 3 * MS), Entry::Passed);
        assert_eq!(
            table.enter(&2, None, 4 * MS),
            Entry::Passed,
            "2 was forgotten for 3"
        );
        assert!(matches!(table.enter(&2, None, 4 * MS), Entry::Waiting(_)));
        assert_eq!(table.enter(&3, None, 5 * MS), Entry::Full);
        table.leave(&1, serial);
        assert_eq!(table.enter(&3, None, 5 * MS), Entry::Passed);
    }

    #[test]
    fn keys_at_rest_cost_nothing() {
        let mut table = table(1000, 9);
        for key in 0..200 {
            table.enter(&key, None, MS);
        }
        assert_eq!(table.accounts.len(), 200);
        for key in 200..255 {
            table.enter(&key, None, 20 * MS);
        }
        assert_eq!(table.accounts.len(), 55);
    }

    proptest! {
        /// Whatever calls of few keys do, the table is bounded, and in the end empty of those that wait.
        #[test]
        fn the_table_is_bounded_and_consistent(steps in prop::collection::vec((0..4u8, 0..6u8, 0..20u64), 0..300)) {
            let mut table = table(3, 5);
            let mut now = MS;
            let mut waiting: Vec<(u8, u64)> = Vec::new();
            for (step, key, number) in steps {
                match step {
                    0 => now += Duration::from_millis(number),
                    1 if !waiting.is_empty() => {
                        let at = usize::try_from(number).unwrap() % waiting.len();
                        let (key, serial) = waiting.remove(at);
                        table.leave(&key, serial);
                    }
                    2 => waiting.retain(|(key, serial)| turn(&mut table, *key, *serial, now) != Turn::Passed),
                    _ => {
                        if let Entry::Waiting(serial) = table.enter(&key, None, now) {
                            waiting.push((key, serial));
                        }
                    }
                }
                prop_assert!(table.accounts.len() <= 3);
                prop_assert!(table.waiting <= 5);
                prop_assert_eq!(table.waiting, waiting.len());
                let busy = table.accounts.values().filter(|account| !account.line.is_empty());
                prop_assert_eq!(table.idle.len() + busy.count(), table.accounts.len());
            }
            for (key, serial) in waiting {
                table.leave(&key, serial);
            }
            prop_assert_eq!(table.idle.len(), table.accounts.len());
        }
    }
}
