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
    rate: Rate,
    max_keys: usize,
    max_waiting: usize,
    waiting: usize,
    accounts: HashMap<K, Account>,
    /// The keys on which nobody waits, those that have used least first.
    idle: BTreeMap<(Used, u64), K>,
    last: u64,
}

#[derive(Debug)]
struct Account {
    serial: u64,
    used: Used,
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
    pub(super) fn new(rate: Rate, max_keys: usize, max_waiting: usize) -> Self {
        Self {
            rate,
            max_keys: max_keys.max(1),
            max_waiting,
            waiting: 0,
            accounts: HashMap::new(),
            idle: BTreeMap::new(),
            last: 0,
        }
    }

    /// Takes a call that has so much time to wait.
    pub(super) fn enter(&mut self, key: &K, patience: Option<Duration>, now: Duration) -> Entry {
        let rate = self.rate;
        let Some(account) = self.accounts.get_mut(key) else {
            return match self.open(key, now) {
                true => Entry::Passed,
                false => Entry::Full,
            };
        };
        let wait = rate.wait(account.used, account.line.len(), now);
        if wait.is_zero() && account.line.is_empty() {
            self.pass(key, now);
            return Entry::Passed;
        }
        let has_time = patience.is_none_or(|patience| wait < patience);
        if !has_time || self.waiting >= self.max_waiting {
            return Entry::Refused(wait);
        }
        if account.line.is_empty() {
            self.idle.remove(&(account.used, account.serial));
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
        let rate = self.rate;
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
                let place = (account.used, account.serial);
                self.idle.insert(place, key.clone());
                None
            }
            Some((_, next)) => next.clone().filter(|_| was_first),
        }
    }

    /// A call of a known key, on which nobody waits, is made.
    fn pass(&mut self, key: &K, now: Duration) {
        if let Some(account) = self.accounts.get_mut(key)
            && let Some(key) = self.idle.remove(&(account.used, account.serial))
        {
            account.used = self.rate.spend(account.used, now);
            self.idle.insert((account.used, account.serial), key);
        }
    }

    /// The first call of a key is made. False if there is no room for the key.
    fn open(&mut self, key: &K, now: Duration) -> bool {
        self.forget_whole(now);
        if self.accounts.len() >= self.max_keys {
            let Some((_, least)) = self.idle.pop_first() else {
                return false;
            };
            self.accounts.remove(&least);
        }
        self.last += 1;
        let account = Account {
            serial: self.last,
            used: self.rate.spend(Used::default(), now),
            line: BTreeMap::new(),
        };
        let place = (account.used, account.serial);
        self.idle.insert(place, key.clone());
        self.accounts.insert(key.clone(), account);
        true
    }

    /// Drops a few of the keys that have all they used back: it is as if they had never been.
    fn forget_whole(&mut self, now: Duration) {
        for _ in 0..FORGOTTEN {
            match self.idle.first_entry() {
                Some(first) if self.rate.is_whole(first.key().0, now) => {
                    self.accounts.remove(&first.remove());
                }
                _ => return,
            }
        }
    }
}

/// Keys that are forgotten when one comes: more than one, so that the table shrinks, and few, since that one waits.
const FORGOTTEN: usize = 4;
