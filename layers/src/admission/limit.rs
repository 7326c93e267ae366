//! How many calls may run at once.

use std::{ops::RangeInclusive, time::Duration};

use tokio::time::Instant;

/// How many calls may run at once.
#[derive(Clone, Debug)]
pub struct Limit(Rule);

#[derive(Clone, Debug)]
enum Rule {
    Fixed(usize),
    Adaptive(RangeInclusive<usize>),
}

impl Limit {
    /// Always so many, at least 1.
    ///
    /// As a rule as many as what the handlers share can serve: connections of a pool, cores, threads.
    pub fn fixed(calls: usize) -> Self {
        Self(Rule::Fixed(calls.max(1)))
    }

    /// As many as do not slow each other down, found out by how long they take.
    ///
    /// It begins with the least of the range, which is at least 1, and is judged every 100 ms, if at least 10 calls have
    /// succeeded in them: where these took up to half as long again as they do when few run, the limit grows by half its
    /// square root, so from 1 to 100 in four seconds; where they took longer, it grows less, or shrinks by as much as they
    /// did. It does not grow while less than half of it is used.
    ///
    /// How long calls take when few run is the shortest mean time of such a period; after 30 seconds without a shorter
    /// one it is measured anew, for which the limit is halved for two periods. So a load that lasts does not move it.
    /// Calls that fail do not count: to refuse is quick.
    ///
    /// It suits handlers that take about the same time each. Of a few that take long among many that do not, the mean
    /// says little: give them an admission of their own.
    pub fn adaptive(range: RangeInclusive<usize>) -> Self {
        let min = (*range.start()).max(1);
        Self(Rule::Adaptive(min..=(*range.end()).max(min)))
    }

    pub(super) fn first(&self) -> usize {
        match &self.0 {
            Rule::Fixed(calls) => *calls,
            Rule::Adaptive(range) => *range.start(),
        }
    }

    pub(super) fn gradient(&self) -> Option<Gradient> {
        match &self.0 {
            Rule::Fixed(_) => None,
            Rule::Adaptive(range) => Some(Gradient::new(range.clone())),
        }
    }
}

/// Moves a limit by the latency that it leads to: the less concurrency costs, the more of it.
#[derive(Debug)]
pub(super) struct Gradient {
    range: RangeInclusive<usize>,
    /// With a fraction, so that small steps add up.
    limit: f64,
    period: Period,
    /// How long calls take when few run.
    base: Option<Duration>,
    /// When that is measured anew.
    stale_at: Option<Instant>,
    /// Periods that are left of a measurement.
    probing: u32,
}

/// The calls that ended since the limit was judged last.
#[derive(Debug, Default)]
struct Period {
    since: Option<Instant>,
    calls: u32,
    time: Duration,
    /// The most that ran at once.
    running: usize,
}

/// How often the limit is judged: several times within the second in which a load changes.
const PERIOD: Duration = Duration::from_millis(100);

/// Calls without which a period is no evidence, and goes on.
const EVIDENCE: u32 = 10;

/// How much longer calls may take than when few run, before there are too many of them: half as long again. Less would
/// take the scatter of their times for a queue.
const TOLERANCE: f64 = 1.5;

/// The most by which one judgement lowers the limit: to a half.
const STEEPEST: f64 = 0.5;

/// The part of each change that is made: what one period has shown may be chance.
const WEIGHT: f64 = 0.5;

/// After how long without a shorter time it is measured again how long calls take when few run: handlers change.
const STALE: Duration = Duration::from_secs(30);

/// Periods of such a measurement. In the first one calls end that began before it.
const PROBE: u32 = 2;

impl Gradient {
    fn new(range: RangeInclusive<usize>) -> Self {
        Self {
            limit: *range.start() as f64,
            range,
            period: Period::default(),
            base: None,
            stale_at: None,
            probing: 0,
        }
    }

    /// The limit as it is now.
    pub(super) fn limit(&self) -> usize {
        let limit = self.limit as usize;
        match self.probing {
            0 => limit,
            _ => (limit / 2).max(1),
        }
    }

    /// Takes note of a call that succeeded after so long, while so many ran with it. Whether the limit may have changed.
    pub(super) fn note(&mut self, time: Duration, running: usize, now: Instant) -> bool {
        let period = &mut self.period;
        let since = *period.since.get_or_insert(now);
        period.calls += 1;
        period.time += time;
        period.running = period.running.max(running);
        if period.calls < EVIDENCE || now.saturating_duration_since(since) < PERIOD {
            return false;
        }
        let Period {
            calls,
            time,
            running,
            ..
        } = std::mem::take(period);
        self.judge(time / calls, running, now);
        true
    }

    /// A period is over in which calls took so long on average.
    fn judge(&mut self, mean: Duration, running: usize, now: Instant) {
        if self.probing > 0 {
            self.probing -= 1;
            if self.probing == 0 {
                self.set_base(mean, now);
            }
            return;
        }
        let base = match self.base {
            Some(base) if base < mean => base,
            _ => {
                self.set_base(mean, now);
                mean
            }
        };
        if self.stale_at.is_some_and(|at| at <= now) {
            self.probing = PROBE;
            return;
        }
        let room = base.as_secs_f64() * TOLERANCE / mean.as_secs_f64().max(f64::MIN_POSITIVE);
        let gradient = room.clamp(STEEPEST, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        let is_used = running * 2 >= self.limit as usize;
        if is_used || wanted < self.limit {
            let limit = self.limit + (wanted - self.limit) * WEIGHT;
            self.limit = limit.clamp(*self.range.start() as f64, *self.range.end() as f64);
        }
    }

    fn set_base(&mut self, mean: Duration, now: Instant) {
        self.base = Some(mean);
        self.stale_at = now.checked_add(STALE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Handlers that share something which serves `cores` at once, each taking `work` of it.
    struct House {
        cores: f64,
        work: Duration,
        now: Instant,
    }

    impl House {
        fn new(cores: f64) -> Self {
            Self {
                cores,
                work: Duration::from_millis(2),
                now: Instant::now(),
            }
        }

        /// The limit after so many seconds in which `callers` call at once.
        fn run(&mut self, gradient: &mut Gradient, callers: usize, seconds: u64) -> usize {
            let end = self.now + Duration::from_secs(seconds);
            while self.now < end {
                let running = gradient.limit().min(callers);
                let crowd = (running as f64 / self.cores).max(1.0);
                let time = self.work.mul_f64(crowd);
                self.now += time / u32::try_from(running).unwrap();
                gradient.note(time, running, self.now);
            }
            gradient.limit()
        }
    }

    fn adaptive(range: RangeInclusive<usize>) -> Gradient {
        Limit::adaptive(range).gradient().unwrap()
    }

    #[test]
    fn the_limit_finds_what_the_handlers_can_serve() {
        for cores in [2.0, 10.0, 100.0] {
            let mut gradient = adaptive(1..=10_000);
            let limit = House::new(cores).run(&mut gradient, usize::MAX, 29) as f64;
            let enough = cores..cores * 3.0 + 3.0;
            assert!(enough.contains(&limit), "{limit} for {cores}");
        }
    }

    #[test]
    fn a_load_that_lasts_for_hours_does_not_move_it() {
        let (mut house, mut gradient) = (House::new(20.0), adaptive(1..=10_000));
        let soon = house.run(&mut gradient, usize::MAX, 25);
        let late = house.run(&mut gradient, usize::MAX, 3 * 3600);
        assert!((soon / 2..=soon * 2).contains(&late), "{soon}, then {late}");
    }

    #[test]
    fn it_follows_handlers_that_become_slower_and_faster_again() {
        let (mut house, mut gradient) = (House::new(50.0), adaptive(1..=10_000));
        let before = house.run(&mut gradient, usize::MAX, 60);
        house.cores = 10.0;
        let worse = house.run(&mut gradient, usize::MAX, 60);
        assert!(worse < before / 2, "{before}, then {worse}");
        house.cores = 50.0;
        let after = house.run(&mut gradient, usize::MAX, 60);
        assert!(after > worse * 2, "{worse}, then {after}");
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_grow() {
        let mut gradient = adaptive(1..=10_000);
        assert_eq!(House::new(1000.0).run(&mut gradient, 4, 25), 9);
    }

    #[test]
    fn it_stays_in_its_range_which_is_never_empty() {
        let mut gradient = adaptive(5..=30);
        assert_eq!(House::new(1e6).run(&mut gradient, usize::MAX, 25), 30);
        assert_eq!(House::new(1.0).run(&mut gradient, 1, 25), 30);
        let mut least = adaptive(5..=30);
        assert_eq!(House::new(1.0).run(&mut least, usize::MAX, 0), 5);
        assert_eq!(Limit::adaptive(0..=0).first(), 1);
        #[allow(clippy::reversed_empty_ranges, reason = "what a user may write")]
        let reversed = Limit::adaptive(7..=3);
        assert_eq!(reversed.first(), 7);
        assert_eq!(Limit::fixed(0).first(), 1);
    }
}
