//! Who runs, who waits and who is refused: without a clock, and without I/O.
//!
//! ```text
//!            a place is free
//!   enter ─────────────────────────────────────────────────▶ running ──▶ release
//!     │  none is                  its turn                      ▲
//!     ├──────────▶ waiting ─────────────────────────────────────┘
//!     │               │ overload: too many wait, or it has waited too long
//!     │               ├────────────────────────────────────────────▶ shed
//!     │               │ its deadline is near
//!     │               └────────────────────────────────────────────▶ expired
//!     └─ the queue is full, or its deadline cannot be met ─────────▶ shed, expired
//! ```
//!
//! | | calm | overload |
//! |---|---|---|
//! | who is next | the oldest of the highest priority | the newest of the highest priority |
//! | how many wait | as many as may | a quarter of those that run |
//! | for how long | until their deadlines | for the target |
//! | who goes when one too many comes | that one, or a call of a lower priority | the oldest of the lowest priority |
//!
//! Nobody waits while a place is free.

use std::{collections::BTreeMap, task::Waker, time::Duration};

use tokio::time::Instant;

use super::{overload::Overload, pace::Pace, priority::Priority, stats::Stats};

#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    max_waiting: usize,
    running: usize,
    waiting: usize,
    /// Those that wait, by priority, each in the order in which they came.
    lanes: [BTreeMap<u64, Waiter>; Priority::ALL.len()],
    /// What became of those that have waited and do not know yet.
    verdicts: BTreeMap<u64, Verdict>,
    last: u64,
    overload: Overload,
    pace: Pace,
    admitted: u64,
    shed: u64,
    expired: u64,
}

/// The place of a call in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    priority: Priority,
    serial: u64,
}

#[derive(Debug)]
struct Waiter {
    since: Instant,
    /// When it is of no use any more.
    until: Option<Instant>,
    waker: Option<Waker>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs.
    Admitted,
    /// It is refused: others are served.
    Shed,
    /// It is refused: it has no time left.
    Expired,
}

/// What becomes of a call that comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Decided(Verdict),
    Waiting(Place),
}

/// Those that have to be told, outside of any lock.
#[derive(Debug, Default)]
#[must_use = "calls wait to be woken"]
pub(super) struct Woken {
    // Nearly always it is one, and costs no allocation.
    first: Option<Waker>,
    others: Vec<Waker>,
}

/// What is left of a call's time when it is told that it was not served in time: enough for the answer to arrive before the
/// caller gives up by itself, and knows less.
const MARGIN: Duration = Duration::from_millis(2);

/// Under overload, one call waits for so many that run. There has to be one when a place becomes free; any more only
/// learn later that they are not served.
const RUNNING_PER_WAITING: usize = 4;

impl Queue {
    pub(super) fn new(limit: usize, max_waiting: usize, overload: Overload) -> Self {
        Self {
            limit,
            max_waiting,
            running: 0,
            waiting: 0,
            lanes: Default::default(),
            verdicts: BTreeMap::new(),
            last: 0,
            overload,
            pace: Pace::default(),
            admitted: 0,
            shed: 0,
            expired: 0,
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            limit: self.limit,
            running: self.running,
            waiting: self.waiting,
            is_overloaded: self.overload.is_on(),
            admitted: self.admitted,
            shed: self.shed,
            expired: self.expired,
        }
    }

    /// Runs a call, if that needs no thought.
    pub(super) fn enter_at_once(&mut self) -> bool {
        let is_free = self.running < self.limit;
        if is_free {
            self.run();
        }
        is_free
    }

    /// Takes a call that cannot run at once.
    pub(super) fn enter(
        &mut self,
        priority: Priority,
        deadline: Option<Instant>,
        now: Instant,
        woken: &mut Woken,
    ) -> Entry {
        self.look(now, woken);
        if self.enter_at_once() {
            return Entry::Decided(Verdict::Admitted);
        }
        let until = deadline.map(last_moment);
        let turn = now + self.pace.wait(self.ahead(priority));
        if until.is_some_and(|until| until <= turn) {
            return Entry::Decided(self.refuse(Verdict::Expired));
        }
        if self.waiting >= self.room() && !self.make_room(priority, woken) {
            return Entry::Decided(self.refuse(Verdict::Shed));
        }
        self.last += 1;
        self.waiting += 1;
        let waiter = Waiter {
            since: now,
            until,
            waker: None,
        };
        self.lanes[priority as usize].insert(self.last, waiter);
        Entry::Waiting(Place {
            priority,
            serial: self.last,
        })
    }

    /// Counts a call that does not even wait.
    pub(super) fn refuse(&mut self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Expired => self.expired += 1,
            _ => self.shed += 1,
        }
        verdict
    }

    /// What became of a call that waits, or else whom to tell.
    pub(super) fn verdict(&mut self, place: Place, waker: &Waker) -> Option<Verdict> {
        if let Some(waiter) = self.lane(place).get_mut(&place.serial) {
            match &mut waiter.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            return None;
        }
        self.verdicts.remove(&place.serial)
    }

    /// The time of a call is over. If it still waits, it has left.
    pub(super) fn expire(&mut self, place: Place, now: Instant, woken: &mut Woken) {
        if self.lane(place).remove(&place.serial).is_some() {
            self.waiting -= 1;
            self.expired += 1;
            self.verdicts.insert(place.serial, Verdict::Expired);
            self.look(now, woken);
        }
    }

    /// A call waits no longer, whatever became of it.
    pub(super) fn leave(&mut self, place: Place, now: Instant, woken: &mut Woken) {
        if self.lane(place).remove(&place.serial).is_some() {
            self.waiting -= 1;
            self.look(now, woken);
        } else if self.verdicts.remove(&place.serial) == Some(Verdict::Admitted) {
            self.release(now, woken);
        }
    }

    /// A call runs no longer, if that concerns nobody else.
    pub(super) fn release_at_once(&mut self) -> bool {
        let is_alone = self.waiting == 0;
        self.running -= usize::from(is_alone);
        is_alone
    }

    /// A call runs no longer.
    pub(super) fn release(&mut self, now: Instant, woken: &mut Woken) {
        self.running -= 1;
        self.fill(now, woken);
    }

    /// So many may run from now on. Those that run already go on.
    pub(super) fn set_limit(&mut self, limit: usize, now: Instant, woken: &mut Woken) {
        self.limit = limit;
        self.fill(now, woken);
    }

    /// Gives places that are free to those that wait.
    fn fill(&mut self, now: Instant, woken: &mut Woken) {
        self.look(now, woken);
        while self.running < self.limit
            && let Some((serial, waiter)) = self.next()
        {
            if waiter.until.is_some_and(|until| until <= now) {
                self.expired += 1;
                self.tell(serial, waiter, Verdict::Expired, woken);
                continue;
            }
            self.pace.moved(now);
            self.run();
            self.tell(serial, waiter, Verdict::Admitted, woken);
        }
        if self.waiting == 0 {
            self.pace.rested();
            self.overload.note(None, now);
        }
    }

    /// Judges the queue, and sheds what an overload asks for. One call always stays: the next free place is its own.
    fn look(&mut self, now: Instant, woken: &mut Woken) {
        let fronts = self.lanes.iter().filter_map(|lane| lane.first_key_value());
        let oldest = fronts.map(|(_, waiter)| waiter.since).min();
        self.overload.note(oldest, now);
        if !self.overload.is_on() {
            return;
        }
        while self.waiting > self.room() && self.shed_lowest(woken) {}
        for lane in 0..self.lanes.len() {
            while self.waiting > 1
                && let Some(front) = self.lanes[lane].first_entry()
                && now.saturating_duration_since(front.get().since) > self.overload.target()
            {
                let (serial, waiter) = front.remove_entry();
                self.shed(serial, waiter, woken);
            }
        }
    }

    /// How many may wait.
    fn room(&self) -> usize {
        match self.overload.is_on() {
            true => (self.limit / RUNNING_PER_WAITING).clamp(1, self.max_waiting.max(1)),
            false => self.max_waiting,
        }
    }

    /// Makes room for one more call. False if all that wait are worth as much; under overload, if they are worth more.
    fn make_room(&mut self, priority: Priority, woken: &mut Woken) -> bool {
        let is_overloaded = self.overload.is_on();
        let below = priority as usize + usize::from(is_overloaded);
        let Some(lane) = self.lanes[..below].iter_mut().find(|lane| !lane.is_empty()) else {
            return false;
        };
        let worst = match is_overloaded {
            true => lane.pop_first(),
            false => lane.pop_last(),
        };
        let Some((serial, waiter)) = worst else {
            return false;
        };
        self.shed(serial, waiter, woken);
        true
    }

    /// How many are served before a call that comes now.
    fn ahead(&self, priority: Priority) -> usize {
        let above = priority as usize + usize::from(self.overload.is_on());
        self.lanes[above..].iter().map(BTreeMap::len).sum()
    }

    /// Takes the one out that is served next.
    fn next(&mut self) -> Option<(u64, Waiter)> {
        let mut lanes = self.lanes.iter_mut().rev();
        let lane = lanes.find(|lane| !lane.is_empty())?;
        let next = match self.overload.is_on() {
            true => lane.pop_last(),
            false => lane.pop_first(),
        };
        self.waiting -= usize::from(next.is_some());
        next
    }

    fn shed_lowest(&mut self, woken: &mut Woken) -> bool {
        let lowest = self.lanes.iter_mut().find_map(BTreeMap::pop_first);
        lowest.is_some_and(|(serial, waiter)| {
            self.shed(serial, waiter, woken);
            true
        })
    }

    /// One that was taken out of its lane is not served.
    fn shed(&mut self, serial: u64, waiter: Waiter, woken: &mut Woken) {
        self.waiting -= 1;
        self.shed += 1;
        self.tell(serial, waiter, Verdict::Shed, woken);
    }

    fn tell(&mut self, serial: u64, waiter: Waiter, verdict: Verdict, woken: &mut Woken) {
        self.verdicts.insert(serial, verdict);
        if let Some(waker) = waiter.waker {
            woken.push(waker);
        }
    }

    fn run(&mut self) {
        self.running += 1;
        self.admitted += 1;
    }

    fn lane(&mut self, place: Place) -> &mut BTreeMap<u64, Waiter> {
        &mut self.lanes[place.priority as usize]
    }
}

/// When a call that still waits is told that it was not served in time.
pub(super) fn last_moment(deadline: Instant) -> Instant {
    deadline.checked_sub(MARGIN).unwrap_or(deadline)
}

impl Woken {
    pub(super) fn wake(self) {
        self.first
            .into_iter()
            .chain(self.others)
            .for_each(Waker::wake);
    }

    fn push(&mut self, waker: Waker) {
        match &self.first {
            None => self.first = Some(waker),
            Some(_) => self.others.push(waker),
        }
    }
}
