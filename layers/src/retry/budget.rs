//! How many retries all callers may make together.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::time::Instant;

/// Retries and hedges that are paid for by calls: a share of the calls of the last ten seconds, and a few per second
/// besides, so that a client that calls seldom can retry too.
///
/// Without it every client repeats every failed call, and a server that is slow because it has too much to do
/// gets several times as much. All clones draw on the same account. It counts in whole numbers: a share of
/// 20 % pays one retry per five calls, never two for nine.
///
/// ```
/// use steeple_layers::retry::Budget;
///
/// let budget = Budget::new(20, 0);
/// for _ in 0..80 {
///     budget.deposit();
/// }
/// let paid = (0..80).filter(|_| budget.withdraw()).count();
/// assert_eq!(paid, 16);
/// ```
#[derive(Debug)]
pub struct Budget {
    shared: Arc<Shared>,
    /// Calls that are not on the account yet.
    purse: AtomicU32,
}

#[derive(Debug)]
struct Shared {
    percent: u32,
    per_second: u32,
    origin: Instant,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// The latest second that anything was done in.
    second: u64,
    /// Hundredths of a retry that were earned in each of the last seconds and are not spent.
    earned: [u64; WINDOW],
    /// Retries of this second that no call has paid for.
    free: u32,
}

/// Seconds after which what was earned is lost: the calls of a quiet hour do not pay for a storm.
const WINDOW: usize = 10;

/// Calls that a clone keeps before it puts them on the account, which all clones share: not every call is
/// worth that traffic. What is kept goes to the account with the clone's next retry, or its end.
const PURSE: u32 = 16;

/// What a retry costs, in hundredths.
const PRICE: u64 = 100;

impl Budget {
    /// Retries for `percent` of the calls, and for `per_second` more in every second.
    pub fn new(percent: u32, per_second: u32) -> Self {
        let shared = Shared {
            percent,
            per_second,
            origin: Instant::now(),
            account: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            purse: AtomicU32::new(0),
        }
    }

    /// Counts a call, which is no retry.
    #[inline]
    pub fn deposit(&self) {
        if self.purse.fetch_add(1, Ordering::Relaxed) + 1 == PURSE {
            self.empty_purse();
        }
    }

    /// Pays for a retry; false if there is nothing left to pay with.
    pub fn withdraw(&self) -> bool {
        self.empty_purse();
        self.shared.account(|account| {
            if account.free < self.shared.per_second {
                account.free += 1;
                return true;
            }
            account.spend()
        })
    }

    fn empty_purse(&self) {
        let calls = self.purse.swap(0, Ordering::Relaxed);
        if calls > 0 {
            let earned = u64::from(calls) * u64::from(self.shared.percent);
            self.shared.account(|account| account.earn(earned));
        }
    }
}

/// 20 % of the calls, and ten retries per second.
impl Default for Budget {
    fn default() -> Self {
        Self::new(20, 10)
    }
}

/// Draws on the same account.
impl Clone for Budget {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            purse: AtomicU32::new(0),
        }
    }
}

/// What is set of it, in words.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, free) = (self.shared.percent, self.shared.per_second);
        write!(f, "a budget of {percent} % of calls and {free} a second")
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.empty_purse();
    }
}

impl Shared {
    /// Does something with the account as it stands now.
    fn account<T>(&self, act: impl FnOnce(&mut Account) -> T) -> T {
        let now = Instant::now().saturating_duration_since(self.origin);
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.turn_to(now.as_secs());
        act(&mut account)
    }
}

impl Account {
    /// Forgets what was earned too long ago. A clock that another thread has read later stands.
    fn turn_to(&mut self, second: u64) {
        if second <= self.second {
            return;
        }
        let passed = usize::try_from(second - self.second).unwrap_or(WINDOW);
        for step in 1..=passed.min(WINDOW) {
            self.earned[(self.slot() + step) % WINDOW] = 0;
        }
        self.second = second;
        self.free = 0;
    }

    fn earn(&mut self, hundredths: u64) {
        self.earned[self.slot()] += hundredths;
    }

    /// Spends what would be lost first.
    fn spend(&mut self) -> bool {
        if self.earned.iter().sum::<u64>() < PRICE {
            return false;
        }
        let mut due = PRICE;
        for age in 1..=WINDOW {
            let oldest = (self.slot() + age) % WINDOW;
            let part = self.earned[oldest].min(due);
            self.earned[oldest] -= part;
            due -= part;
        }
        true
    }

    /// The place of this second.
    fn slot(&self) -> usize {
        (self.second % WINDOW as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn paid(budget: &Budget, tries: usize) -> usize {
        (0..tries).filter(|_| budget.withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_of_the_calls_is_exact_and_all_clones_draw_on_it() {
        for percent in [0, 1, 20, 33, 60, 100, 250] {
            let budget = Budget::new(percent, 0);
            for _ in 0..100 {
                budget.clone().deposit();
            }
            let one = budget.clone();
            let together = paid(&one, 2) + paid(&budget, 1000);
            assert_eq!(together, percent as usize, "of 100 calls");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_retries_come_back_every_second_and_do_not_add_up() {
        let budget = Budget::new(0, 10);
        assert_eq!(paid(&budget, 50), 10);
        advance(Duration::from_secs(1)).await;
        assert_eq!(paid(&budget, 50), 10);
        advance(Duration::from_secs(3600)).await;
        assert_eq!(paid(&budget, 50), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_earned_is_lost_after_ten_seconds() {
        let budget = Budget::new(100, 0);
        let earn = || (0..PURSE).for_each(|_| budget.deposit());
        earn();
        advance(Duration::from_secs(5)).await;
        earn();
        advance(Duration::from_secs(4)).await;
        assert_eq!(paid(&budget, 4), 4, "of the older half");
        advance(Duration::from_secs(1)).await;
        assert_eq!(paid(&budget, 100), 16, "the younger half is left");
        earn();
        advance(Duration::from_secs(10)).await;
        assert_eq!(paid(&budget, 100), 0);
    }
}
