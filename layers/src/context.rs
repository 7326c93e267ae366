//! What policy knows of a call, apart from its body.

use std::{
    fmt,
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Method, Priority,
    moment::Moment,
    tried::{self, Seen, Tried},
};

/// What travels with every request through a stack of layers.
///
/// A plain value without an allocation of its own. Layers read and write it by
/// [`Carry`](crate::Carry); the connection puts the deadline and the attempt on the wire.
#[derive(Clone, Default)]
pub struct Context {
    method: Method,
    started: Moment,
    deadline: Moment,
    /// 0 unless its flag is set.
    shard_key: u64,
    tried: Tried,
    seed: u32,
    attempt: u16,
    /// In microseconds.
    hedge_delay: Option<NonZeroU32>,
    max_attempts: Option<NonZeroU8>,
    priority: Priority,
    flags: Flags,
}

/// What a call is or is not, one bit each: a context is moved through every layer of a stack, so it is small. And
/// it has no padding, around which compilers would copy it in pieces.
#[derive(Clone, Copy, Default)]
struct Flags(u16);

/// Never, as a time from now: far beyond any process, and within what every clock can count.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// What fits into the microseconds of a hedge, with room.
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Context {
    /// The context of a call to `method`: no deadline, first attempt, not idempotent.
    pub fn new(method: impl Into<Method>) -> Self {
        Self {
            method: method.into(),
            ..Self::default()
        }
    }

    /// The method called.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// When the call began, by the first layer that asked; reads the clock only the first time.
    ///
    /// A clock read costs about as much as a whole layer, so the layers of a stack share one.
    pub fn start(&mut self) -> Instant {
        let started = self.start_moment().instant();
        started.expect("a time that was an instant")
    }

    /// When the call began, if a layer has asked.
    pub fn started(&self) -> Option<Instant> {
        self.started.instant()
    }

    /// When the caller stops waiting.
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.instant()
    }

    /// Sets or removes the deadline. It travels as the time that remains, never as a wall-clock time.
    pub fn set_deadline(&mut self, deadline: impl Into<Option<Instant>>) -> &mut Self {
        self.deadline = deadline.into().into();
        self
    }

    /// Sets the deadline to `timeout` after the [start](Self::start) of the call.
    ///
    /// One beyond what the clock can represent, such as [`Duration::MAX`], is 30 years: as good as none, but said, so
    /// that no layer sets its default.
    #[inline]
    pub fn set_timeout(&mut self, timeout: Duration) -> &mut Self {
        let start = self.start_moment();
        let deadline = start.after(timeout).or_else(|| start.after(FAR));
        self.deadline = deadline.unwrap_or(Moment::NONE);
        self
    }

    /// Brings the deadline forward to `limit`, if it is later or there is none.
    pub fn limit_deadline(&mut self, limit: Instant) -> &mut Self {
        self.limit_to(limit.into())
    }

    /// Gives the call no more time than `parent` has left: what a handler does for the calls it makes on
    /// behalf of its caller.
    ///
    /// Under an [`InheritLayer`](crate::inherit::InheritLayer) this happens by itself, except in tasks that
    /// the handler spawns: there, and without that layer, it is done by hand.
    pub fn inherit(&mut self, parent: &Self) -> &mut Self {
        if let Some(deadline) = parent.deadline() {
            self.limit_deadline(deadline);
        }
        self
    }

    /// As [`start`](Self::start), for layers that calculate: an instant is dear to make and to compare.
    #[inline]
    pub(crate) fn start_moment(&mut self) -> Moment {
        if self.started == Moment::NONE {
            self.started = Moment::now();
        }
        self.started
    }

    #[inline]
    pub(crate) fn started_moment(&self) -> Moment {
        self.started
    }

    #[doc(hidden)]
    #[inline]
    pub fn deadline_moment(&self) -> Moment {
        self.deadline
    }

    #[doc(hidden)]
    #[inline]
    pub fn set_deadline_moment(&mut self, deadline: Moment) {
        self.deadline = deadline;
    }

    #[inline]
    pub(crate) fn limit_to(&mut self, limit: Moment) -> &mut Self {
        self.deadline = match self.deadline {
            Moment::NONE => limit,
            deadline => deadline.min(limit),
        };
        self
    }

    /// The key that steers a call to one replica of many; a balancer may ignore it.
    pub fn shard_key(&self) -> Option<u64> {
        self.flags.has(Flags::SHARDED).then_some(self.shard_key)
    }

    /// Sets or removes the shard key.
    pub fn set_shard_key(&mut self, key: impl Into<Option<u64>>) -> &mut Self {
        let key = key.into();
        self.flags.set(Flags::SHARDED, key.is_some());
        self.shard_key = key.unwrap_or(0);
        self
    }

    /// The number from which all random choices for this call follow; 0 until a layer has chosen one.
    pub fn seed(&self) -> u32 {
        self.seed
    }

    /// Sets the seed.
    pub fn set_seed(&mut self, seed: u32) -> &mut Self {
        self.seed = seed;
        self
    }

    /// How many attempts of this call came before this one.
    pub fn attempt(&self) -> u32 {
        self.attempt.into()
    }

    /// Sets the number of attempts before this one. More than 65 535 are that many.
    pub fn set_attempt(&mut self, attempt: u32) -> &mut Self {
        self.attempt = u16::try_from(attempt).unwrap_or(u16::MAX);
        self
    }

    /// Makes this the attempt after the one whose number it has, and tells that to those above.
    pub(crate) fn begin_next_attempt(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
        tried::number(self.attempt);
    }

    /// The replicas that earlier attempts have come to.
    #[inline]
    pub(crate) fn tried(&self) -> Tried {
        self.tried
    }

    /// Takes note of the attempts of this call that were seen below.
    #[inline]
    pub(crate) fn learn(&mut self, seen: Seen) {
        self.tried = self.tried.with(seen.tried());
        self.attempt = self.attempt.max(seen.attempt());
    }

    /// Whether running the call twice is as good as running it once. False unless declared.
    pub fn is_idempotent(&self) -> bool {
        self.flags.has(Flags::IDEMPOTENT)
    }

    /// What was declared of running the call twice, if anything: where nothing was, a layer may know it of the method.
    pub fn idempotent(&self) -> Option<bool> {
        let said = self.flags.has(Flags::IDEMPOTENT_SAID);
        said.then_some(self.is_idempotent())
    }

    /// Declares whether running the call twice is as good as running it once. That holds whatever a layer knows of the
    /// method.
    pub fn set_idempotent(&mut self, idempotent: impl Into<Option<bool>>) -> &mut Self {
        let said = idempotent.into();
        self.flags.set(Flags::IDEMPOTENT_SAID, said.is_some());
        self.flags.set(Flags::IDEMPOTENT, said == Some(true));
        self
    }

    /// Whether no answer is expected.
    pub fn is_one_way(&self) -> bool {
        self.flags.has(Flags::ONE_WAY)
    }

    /// Declares whether an answer is expected.
    pub fn set_one_way(&mut self, one_way: bool) -> &mut Self {
        self.flags.set(Flags::ONE_WAY, one_way);
        self
    }

    /// Whether the call fails where it would otherwise wait for a replica that cannot be reached. It still waits
    /// for the first verdict of a dial that is under way. False unless said.
    pub fn is_fail_fast(&self) -> bool {
        self.flags.has(Flags::FAIL_FAST)
    }

    /// What was said of failing fast, if anything: where nothing was, a client may have a default.
    pub fn fail_fast(&self) -> Option<bool> {
        let said = self.flags.has(Flags::FAIL_FAST_SAID);
        said.then_some(self.is_fail_fast())
    }

    /// Sets whether the call fails where it would otherwise wait for a replica that cannot be reached.
    pub fn set_fail_fast(&mut self, fail_fast: impl Into<Option<bool>>) -> &mut Self {
        let said = fail_fast.into();
        self.flags.set(Flags::FAIL_FAST_SAID, said.is_some());
        self.flags.set(Flags::FAIL_FAST, said == Some(true));
        self
    }

    /// Whether a call made inside a handler does not inherit that handler's deadline.
    pub fn is_independent(&self) -> bool {
        self.flags.has(Flags::INDEPENDENT)
    }

    /// Sets whether a call made inside a handler keeps its own time, and does not inherit that handler's
    /// deadline: for work that is to be finished although nobody may wait for it any more.
    pub fn set_independent(&mut self, independent: bool) -> &mut Self {
        self.flags.set(Flags::INDEPENDENT, independent);
        self
    }

    /// What the call is worth where there is not room for all. [`Priority::Normal`] unless said.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Sets what the call is worth. It does not travel: each side has its own view of its methods.
    pub fn set_priority(&mut self, priority: Priority) -> &mut Self {
        self.priority = priority;
        self
    }

    /// How many attempts the call may have in all, if that was said: then it holds instead of what the layers
    /// that repeat calls have for all calls.
    pub fn max_attempts(&self) -> Option<u32> {
        self.max_attempts.map(|attempts| attempts.get().into())
    }

    /// Sets or removes the most attempts of the call, the first included. 0 is as good as 1, and more than 255
    /// are 255.
    pub fn set_max_attempts(&mut self, attempts: impl Into<Option<u32>>) -> &mut Self {
        let attempts = attempts.into();
        let small = |attempts: u32| NonZeroU8::new(attempts.clamp(1, u8::MAX.into()) as u8);
        self.max_attempts = attempts.and_then(small);
        self
    }

    /// How long the call waits for its answer before it is tried elsewhere too, if that was said;
    /// [`Duration::MAX`] if it never is.
    pub fn hedge_delay(&self) -> Option<Duration> {
        let delay = self.hedge_delay?;
        Some(match delay {
            NonZeroU32::MAX => Duration::MAX,
            micros => Duration::from_micros(micros.get().into()),
        })
    }

    /// Sets or removes how long the call waits for its answer before it is tried elsewhere too. It counts in
    /// microseconds, from one on, and more than an hour is never.
    pub fn set_hedge_delay(&mut self, delay: impl Into<Option<Duration>>) -> &mut Self {
        let small = |delay: Duration| match delay > HOUR {
            true => NonZeroU32::MAX,
            false => NonZeroU32::new(delay.as_micros() as u32).unwrap_or(NonZeroU32::MIN),
        };
        self.hedge_delay = delay.into().map(small);
        self
    }

    /// Whether a layer that compresses may compress the bodies of the call, if that was said.
    pub fn compression(&self) -> Option<bool> {
        let said = self.flags.has(Flags::COMPRESSED_SAID);
        said.then(|| self.flags.has(Flags::COMPRESSED))
    }

    /// Sets whether a layer that compresses may compress the bodies of the call.
    pub fn set_compression(&mut self, compression: impl Into<Option<bool>>) -> &mut Self {
        let compression = compression.into();
        self.flags
            .set(Flags::COMPRESSED_SAID, compression.is_some());
        self.flags.set(Flags::COMPRESSED, compression == Some(true));
        self
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("method", &self.method)
            .field("started", &self.started)
            .field("deadline", &self.deadline)
            .field("shard_key", &self.shard_key())
            .field("seed", &self.seed)
            .field("attempt", &self.attempt)
            .field("idempotent", &self.idempotent())
            .field("one_way", &self.is_one_way())
            .field("fail_fast", &self.fail_fast())
            .field("independent", &self.is_independent())
            .field("hedge_delay", &self.hedge_delay())
            .field("max_attempts", &self.max_attempts)
            .field("priority", &self.priority)
            .field("compression", &self.compression())
            .finish()
    }
}

impl Flags {
    const IDEMPOTENT: u16 = 1;
    const ONE_WAY: u16 = 1 << 1;
    const INDEPENDENT: u16 = 1 << 2;
    /// There is a shard key.
    const SHARDED: u16 = 1 << 3;
    const FAIL_FAST: u16 = 1 << 4;
    /// It was said whether to fail fast.
    const FAIL_FAST_SAID: u16 = 1 << 5;
    const COMPRESSED: u16 = 1 << 6;
    /// It was said whether bodies may be compressed.
    const COMPRESSED_SAID: u16 = 1 << 7;
    /// It was said whether the call may run twice.
    const IDEMPOTENT_SAID: u16 = 1 << 8;

    fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    fn set(&mut self, flag: u16, on: bool) {
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_is_is_told_apart() {
        let mut cx = Context::new("Echo");
        assert!(!cx.is_idempotent() && !cx.is_one_way() && !cx.is_independent());
        cx.set_idempotent(true).set_independent(true);
        assert!(cx.is_idempotent() && !cx.is_one_way() && cx.is_independent());
        cx.set_idempotent(false).set_one_way(true).set_shard_key(0);
        assert!(!cx.is_idempotent() && cx.is_one_way() && cx.is_independent());
        assert_eq!(cx.shard_key(), Some(0));
        assert_eq!(cx.set_shard_key(None).shard_key(), None);
        for said in [None, Some(true), Some(false)] {
            cx.set_fail_fast(said).set_idempotent(said);
            assert_eq!((cx.fail_fast(), cx.idempotent()), (said, said));
            let is_said = said == Some(true);
            assert_eq!((cx.is_fail_fast(), cx.is_idempotent()), (is_said, is_said));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_layers_of_a_stack_share_one_clock_read() {
        let mut cx = Context::new("Echo");
        let first = cx.start();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(cx.start(), first);
        assert_eq!(cx.started(), Some(first));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_counts_from_the_start_and_one_without_end_is_a_deadline_too() {
        let mut cx = Context::new("Echo");
        let start = cx.start();
        cx.set_timeout(Duration::from_secs(2));
        assert_eq!(cx.deadline(), Some(start + Duration::from_secs(2)));
        cx.set_timeout(Duration::MAX);
        assert_eq!(cx.deadline(), Some(start + FAR));
    }

    #[test]
    fn what_policy_says_is_small_and_comes_out_as_it_went_in_within_its_limits() {
        assert_eq!(size_of::<Context>(), 56);
        let mut cx = Context::default();
        assert_eq!((cx.max_attempts(), cx.hedge_delay()), (None, None));
        for (set, got) in [(0, 1), (1, 1), (255, 255), (256, 255), (u32::MAX, 255)] {
            assert_eq!(cx.set_max_attempts(set).max_attempts(), Some(got));
        }
        let (micro, hour) = (Duration::from_micros(1), HOUR);
        for (set, got) in [
            (Duration::ZERO, micro),
            (micro, micro),
            (hour, hour),
            (hour + micro, Duration::MAX),
        ] {
            assert_eq!(cx.set_hedge_delay(set).hedge_delay(), Some(got));
        }
        assert_eq!(cx.set_hedge_delay(None).hedge_delay(), None);
        for compression in [None, Some(true), Some(false), None] {
            assert_eq!(cx.set_compression(compression).compression(), compression);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_has_no_more_time_than_its_parent_and_may_have_less() {
        let mut parent = Context::new("Outer");
        let mut child = Context::new("Inner");
        child.inherit(&parent);
        assert_eq!(child.deadline(), None);

        parent.set_timeout(Duration::from_secs(2));
        child.inherit(&parent);
        assert_eq!(child.deadline(), parent.deadline());

        child.set_timeout(Duration::from_secs(1)).inherit(&parent);
        assert!(child.deadline() < parent.deadline());
    }
}
