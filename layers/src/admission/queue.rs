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

use super::{
    overload::{Overload, Tally},
    pace::Pace,
    priority::Priority,
    stats::Stats,
};

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
    tally: Tally,
    admitted: u64,
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
            tally: Tally::default(),
            admitted: 0,
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
            shed: self.tally.shed,
            expired: self.expired,
        }
    }

    /// Runs a call, if that needs no thought.
    pub(super) fn enter_at_once(&mut self) -> bool {
        let is_free = self.running < self.limit;
        if is_free {
            self.tally.at_once += 1;
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
        let wait = self.pace.wait(self.ahead(priority));
        if until.is_some_and(|until| until.saturating_duration_since(now) <= wait) {
            return Entry::Decided(self.refuse(Verdict::Expired));
        }
        if self.overload.foresees(wait, now) {
            return Entry::Decided(self.refuse(Verdict::Shed));
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
            _ => self.tally.shed += 1,
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
        if self.waiting > 0 {
            return false;
        }
        self.running -= 1;
        self.pace.rested();
        true
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
        if self.running < self.limit {
            self.pace.rested();
        }
        if self.waiting == 0 {
            self.overload.note(None, self.tally, now);
        }
    }

    /// Judges the queue, and sheds what an overload asks for. One call always stays: the next free place is its own.
    pub(super) fn look(&mut self, now: Instant, woken: &mut Woken) {
        let fronts = self.lanes.iter().filter_map(|lane| lane.first_key_value());
        let oldest = fronts.map(|(_, waiter)| waiter.since).min();
        self.overload.note(oldest, self.tally, now);
        if !self.overload.is_on() {
            return;
        }
        let room = self.room();
        while self.waiting > 1
            && let Some(lane) = self.lanes.iter_mut().find(|lane| !lane.is_empty())
            && let Some(worst) = lane.first_entry()
        {
            let waited = now.saturating_duration_since(worst.get().since);
            if self.waiting <= room && waited <= self.overload.target() {
                break;
            }
            let (serial, waiter) = worst.remove_entry();
            self.shed(serial, waiter, woken);
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
            true => lane.pop_last()?,
            false => lane.pop_first()?,
        };
        self.waiting -= 1;
        Some(next)
    }

    /// One that was taken out of its lane is not served.
    fn shed(&mut self, serial: u64, waiter: Waiter, woken: &mut Woken) {
        self.waiting -= 1;
        self.tally.shed += 1;
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        task::Wake,
    };

    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// A call that came to the queue.
    struct Call {
        number: usize,
        priority: Priority,
        place: Place,
        bell: Arc<Bell>,
    }

    /// A queue, its clock, and the calls of which it has not been heard yet.
    struct House {
        queue: Queue,
        now: Instant,
        waiting: Vec<Call>,
        running: usize,
        entered: usize,
        left: u64,
    }

    /// What was heard of calls: their numbers and priorities.
    #[derive(Default)]
    struct Heard {
        admitted: Vec<(Priority, usize)>,
        shed: Vec<(Priority, usize)>,
        expired: Vec<(Priority, usize)>,
    }

    impl House {
        fn new(limit: usize, max_waiting: usize) -> Self {
            let overload = Overload::new(5 * MS, 100 * MS);
            Self {
                queue: Queue::new(limit, max_waiting, overload),
                now: Instant::now(),
                waiting: Vec::new(),
                running: 0,
                entered: 0,
                left: 0,
            }
        }

        fn change<T>(&mut self, change: impl FnOnce(&mut Queue, Instant, &mut Woken) -> T) -> T {
            let mut woken = Woken::default();
            let changed = change(&mut self.queue, self.now, &mut woken);
            woken.wake();
            changed
        }

        /// A call comes; the verdict, unless it waits.
        fn enter(&mut self, priority: Priority, time: Option<Duration>) -> Option<Verdict> {
            self.entered += 1;
            let number = self.entered;
            let deadline = time.map(|time| self.now + time);
            match self.change(|queue, now, woken| queue.enter(priority, deadline, now, woken)) {
                Entry::Decided(verdict) => {
                    self.running += usize::from(verdict == Verdict::Admitted);
                    Some(verdict)
                }
                Entry::Waiting(place) => {
                    let bell = Arc::new(Bell::default());
                    let known = self.queue.verdict(place, &bell.clone().into());
                    assert_eq!(known, None, "it waits");
                    let call = Call {
                        number,
                        priority,
                        place,
                        bell,
                    };
                    self.waiting.push(call);
                    None
                }
            }
        }

        fn release(&mut self) {
            if self.running > 0 {
                self.running -= 1;
                self.change(|queue, now, woken| queue.release(now, woken));
            }
        }

        /// Those that were woken hear what became of them.
        fn hear(&mut self) -> Heard {
            let mut heard = Heard::default();
            let queue = &mut self.queue;
            let running = &mut self.running;
            self.waiting.retain(|call| {
                let woken = call.bell.0.load(Relaxed);
                let verdict = queue.verdict(call.place, &call.bell.clone().into());
                assert_eq!(
                    woken,
                    usize::from(verdict.is_some()),
                    "woken once, when decided"
                );
                let entry = (call.priority, call.number);
                match verdict {
                    None => return true,
                    Some(Verdict::Admitted) => {
                        *running += 1;
                        heard.admitted.push(entry);
                    }
                    Some(Verdict::Shed) => heard.shed.push(entry),
                    Some(Verdict::Expired) => heard.expired.push(entry),
                }
                false
            });
            heard
        }

        fn admitted(&mut self) -> Vec<usize> {
            self.hear()
                .admitted
                .into_iter()
                .map(|entry| entry.1)
                .collect()
        }

        /// Normal calls come one after another until so many wait, or one is refused.
        fn crowd(&mut self, waiting: usize) {
            while self.waiting.len() < waiting {
                let verdict = self.enter(Priority::Normal, None);
                if verdict.is_some_and(|verdict| verdict != Verdict::Admitted) {
                    return;
                }
            }
        }

        /// Overload is found out, with so many that wait; as many run as may.
        fn overload(limit: usize, waiting: usize) -> Self {
            let mut house = Self::new(limit, 1000);
            house.crowd(waiting);
            for _ in 0..30 {
                house.now += 5 * MS;
                house.release();
                house.hear();
                house.crowd(waiting);
                if house.queue.stats().is_overloaded {
                    return house;
                }
            }
            panic!("it is never overloaded: {:?}", house.queue);
        }
    }

    #[test]
    fn a_calm_queue_is_first_come_first_served_within_a_priority() {
        use Priority::{Background, Critical, Important, Normal};
        let mut house = House::new(1, 10);
        for priority in [Normal, Background, Normal, Critical, Important, Critical] {
            house.enter(priority, None);
        }
        let mut order = Vec::new();
        for _ in 0..5 {
            house.release();
            order.extend(house.admitted());
        }
        assert_eq!(order, [4, 6, 5, 3, 2]);
    }

    #[test]
    fn an_overload_serves_the_newest_and_ends_with_the_load() {
        let mut house = House::overload(16, 40);
        house.hear();
        assert_eq!(house.waiting.len(), 4, "a quarter of those that run");
        house.enter(Priority::Normal, None);
        house.enter(Priority::Normal, None);
        let last = house.entered;
        house.hear();
        house.release();
        house.release();
        let mut served = house.admitted();
        served.sort_unstable();
        assert_eq!(served, [last - 1, last]);
        house.now += 200 * MS;
        house.change(|queue, now, woken| queue.look(now, woken));
        assert!(!house.queue.stats().is_overloaded);
    }

    #[test]
    fn a_queue_that_is_short_for_a_moment_is_no_overload() {
        let mut house = House::new(1, 1000);
        house.crowd(50);
        for _ in 0..3 {
            house.now += 90 * MS;
            while !house.waiting.is_empty() {
                house.release();
                house.hear();
            }
            house.crowd(50);
        }
        assert!(!house.queue.stats().is_overloaded);
        assert_eq!(house.queue.stats().shed, 0);
    }

    #[test]
    fn in_an_overload_the_last_one_stays_however_old_it_is() {
        let mut house = House::overload(4, 10);
        house.now += 10 * MS;
        house.enter(Priority::Normal, None);
        let number = house.entered;
        house.hear();
        house.now += 80 * MS;
        house.release();
        assert_eq!(house.admitted(), [number]);
    }

    #[test]
    fn a_full_queue_refuses_the_newcomer_or_one_that_is_worth_less() {
        let mut house = House::new(1, 2);
        house.enter(Priority::Normal, None);
        house.enter(Priority::Background, None);
        house.enter(Priority::Background, None);
        assert_eq!(house.enter(Priority::Background, None), Some(Verdict::Shed));
        assert_eq!(house.enter(Priority::Important, None), None);
        assert_eq!(house.hear().shed, [(Priority::Background, 3)]);
        let mut none_waits = House::new(1, 0);
        none_waits.enter(Priority::Normal, None);
        assert_eq!(
            none_waits.enter(Priority::Critical, None),
            Some(Verdict::Shed)
        );
    }

    #[test]
    fn a_deadline_that_cannot_be_met_is_told_at_once() {
        let mut house = House::new(1, 100);
        house.crowd(11);
        for _ in 0..5 {
            house.now += 5 * MS;
            house.release();
            house.hear();
        }
        assert_eq!(house.waiting.len(), 6, "one leaves every 5 ms");
        assert_eq!(
            house.enter(Priority::Normal, Some(30 * MS)),
            Some(Verdict::Expired)
        );
        assert_eq!(house.enter(Priority::Important, Some(30 * MS)), None);
        assert_eq!(house.enter(Priority::Normal, Some(45 * MS)), None);
    }

    #[test]
    fn whoever_would_be_shed_is_told_so_when_it_comes() {
        let mut house = House::new(4, 1000);
        let (mut refused, mut shed) = (0, 0);
        while !house.queue.stats().is_overloaded {
            // Three come in the time in which one is served.
            for _ in 0..3 {
                let verdict = house.enter(Priority::Normal, None);
                refused += usize::from(verdict == Some(Verdict::Shed));
            }
            house.now += MS;
            house.release();
            shed += house.hear().shed.len();
        }
        assert!(refused > 100, "{refused}");
        assert!(shed <= 5, "what came within the target, and not {shed}");
    }

    #[test]
    fn a_call_that_is_due_too_late_is_not_served() {
        let mut house = House::new(1, 100);
        house.crowd(0);
        house.enter(Priority::Normal, None);
        house.enter(Priority::Normal, Some(10 * MS));
        house.enter(Priority::Normal, None);
        house.now += 9 * MS;
        house.release();
        let heard = house.hear();
        assert_eq!(heard.expired, [(Priority::Normal, 2)]);
        assert_eq!(heard.admitted, [(Priority::Normal, 3)]);
    }

    #[test]
    fn one_slow_call_does_not_make_the_queue_refuse_for_ever() {
        let mut house = House::new(1, 100);
        house.crowd(3);
        for pause in [MS, 10_000 * MS] {
            house.now += pause;
            house.release();
            house.hear();
        }
        for _ in 0..500 {
            house.now += MS;
            house.enter(Priority::Normal, Some(50 * MS));
            house.release();
            house.hear();
        }
        for _ in 0..10 {
            assert_eq!(house.enter(Priority::Normal, Some(50 * MS)), None);
        }
    }

    fn priority() -> impl Strategy<Value = Priority> {
        prop::sample::select(Priority::ALL.as_slice())
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Enter(Priority, Option<u64>),
        Release,
        /// One that waits is dropped, or its time is over.
        Leave(usize),
        Expire(usize),
        /// It is dropped after it was decided, before it heard.
        DropDecided,
        Pass(u64),
        Limit(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (priority(), prop::option::of(0..40u64)).prop_map(|(priority, time)| Step::Enter(priority, time)),
            2 => Just(Step::Release),
            1 => (0..50usize).prop_map(Step::Leave),
            1 => (0..50usize).prop_map(Step::Expire),
            1 => Just(Step::DropDecided),
            3 => (0..30u64).prop_map(Step::Pass),
            1 => (1..12usize).prop_map(Step::Limit),
        ]
    }

    proptest! {
        #[test]
        fn each_call_has_one_end_and_no_place_is_lost(
            limit in 1..12usize,
            max_waiting in 0..40usize,
            steps in prop::collection::vec(step(), 0..400),
        ) {
            let mut house = House::new(limit, max_waiting);
            for step in steps {
                let before = house.entered;
                match step {
                    Step::Enter(priority, time) => {
                        house.enter(priority, time.map(|time| MS * u32::try_from(time).unwrap()));
                    }
                    Step::Release => house.release(),
                    Step::Leave(at) if !house.waiting.is_empty() => {
                        let call = house.waiting.remove(at % house.waiting.len());
                        house.change(|queue, now, woken| queue.leave(call.place, now, woken));
                        house.left += 1;
                    }
                    Step::Expire(at) if !house.waiting.is_empty() => {
                        let place = house.waiting[at % house.waiting.len()].place;
                        house.change(|queue, now, woken| queue.expire(place, now, woken));
                        let at = house.waiting.iter().position(|call| call.place == place).unwrap();
                        let call = house.waiting.remove(at);
                        let verdict = house.queue.verdict(call.place, Waker::noop());
                        prop_assert_eq!(verdict, Some(Verdict::Expired));
                    }
                    Step::DropDecided => {
                        house.release();
                        let woken = house.waiting.iter().position(|call| call.bell.0.load(Relaxed) > 0);
                        if let Some(at) = woken {
                            let call = house.waiting.remove(at);
                            house.change(|queue, now, woken| queue.leave(call.place, now, woken));
                        }
                    }
                    Step::Pass(time) => house.now += MS * u32::try_from(time).unwrap(),
                    Step::Limit(limit) => house.change(|queue, now, woken| queue.set_limit(limit, now, woken)),
                    Step::Leave(_) | Step::Expire(_) => {}
                }
                let heard = house.hear();
                let stats = house.queue.stats();
                prop_assert_eq!(stats.running, house.running);
                prop_assert_eq!(stats.waiting, house.waiting.len());
                prop_assert!(stats.waiting <= max_waiting);
                prop_assert!(stats.waiting == 0 || stats.running >= stats.limit, "nobody waits for nothing");
                let ended = stats.admitted + stats.shed + stats.expired + house.left;
                prop_assert_eq!(ended + stats.waiting as u64, house.entered as u64);
                for call in &house.waiting {
                    for served in &heard.admitted {
                        let (one, other) = ((call.priority, call.number), *served);
                        prop_assert!(one.0 <= other.0, "a higher priority waits");
                        if one.0 == other.0 {
                            prop_assert_eq!(stats.is_overloaded, other.1 > one.1);
                        }
                    }
                    // What was shed before one came was not shed for it.
                    for shed in heard.shed.iter().filter(|_| call.number <= before) {
                        prop_assert!(shed.0 <= call.priority, "a lower priority waits");
                    }
                }
            }
            while house.running > 0 {
                house.release();
                house.hear();
            }
            prop_assert!(house.waiting.is_empty());
            prop_assert!(house.queue.verdicts.is_empty());
        }
    }
}
