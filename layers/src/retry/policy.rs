//! Which failures are tried again, and when.

use std::time::Duration;

use tokio::time::Instant;

use super::Budget;
use crate::{
    Backoff, Context, Error, Execution, Kind, Method, Origin,
    explain::{Part, short_name},
    idempotent::Idempotent,
};

/// A rule by which calls are tried again.
///
/// One is cloned with every clone of the client; what clones are to share it keeps behind an `Arc`.
///
/// ```
/// use std::time::Duration;
/// use steeple_layers::{Context, Error, Kind, RetryLayer, retry::Policy};
///
/// /// One more try for whatever could not be reached.
/// #[derive(Clone)]
/// struct Once;
///
/// impl Policy for Once {
///     fn retry(&self, cx: &Context, error: &Error) -> Option<Duration> {
///         (cx.attempt() == 0 && error.kind() == Kind::Unreachable).then_some(Duration::ZERO)
///     }
/// }
///
/// let layer = RetryLayer::new(Once);
/// # let _ = layer;
/// ```
pub trait Policy {
    /// A call begins. False if it is never tried again: then no copy of it is kept.
    ///
    /// All calls are covered but those without an answer, unless a policy says otherwise.
    fn begin(&self, cx: &Context) -> bool {
        !cx.is_one_way()
    }

    /// An attempt has failed, whose number is [`cx.attempt()`](Context::attempt): how long to wait before the
    /// next one, or `None` to let the call fail.
    fn retry(&self, cx: &Context, error: &Error) -> Option<Duration>;

    /// Says what is set of it, where a stack is [explained](crate::explain). Unless it says something, it is the
    /// name of its type.
    fn explain(&self, part: &mut Part) {
        part.setting(short_name::<Self>());
    }
}

/// Tries again what is safe and useful.
///
/// | kind | tried again |
/// |---|---|
/// | connection, timeout of an attempt, unavailable | yes |
/// | unreachable | unless the call is to [fail fast](Context::is_fail_fast) |
/// | overflow at the server | yes |
/// | overflow on this side | if [told so](Self::elsewhere) |
/// | internal, at the server | if idempotent |
/// | any other | never |
///
/// And in each case only if no handler has run, or the call is idempotent: its method is
/// [declared](Self::idempotent) so, or [the call itself](Context::set_idempotent).
///
/// | what | unless set |
/// |---|---|
/// | attempts in all | 3 |
/// | waits between them | 10 ms, doubling to 1 s, up to half of it random; none before the first if the call was never sent |
/// | budget | 20 % of the calls and 10 per second; calls that were never sent are free |
///
/// The attempts that [the call itself](Context::max_attempts) may have, as a rule by a
/// [policy of its method](crate::policies), hold instead of the policy's.
///
/// If the server has said [when to come back](Error::retry_after), the wait is that much longer; a call that was
/// never sent no server has seen, and another attempt of it may go elsewhere at once. A call fails
/// at once when its deadline would pass before the next attempt, or the wait would be longer than
/// [`MAX_WAIT`](Self::MAX_WAIT).
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    attempts: u32,
    until_deadline: bool,
    elsewhere: bool,
    backoff: Backoff,
    budget: Option<Budget>,
    idempotent: Idempotent,
}

impl RetryPolicy {
    /// The longest wait before an attempt, 30 seconds: a server that asks for more time gets it, but the call
    /// fails.
    pub const MAX_WAIT: Duration = Duration::from_secs(30);

    /// The defaults of the tables above.
    pub fn new() -> Self {
        Self {
            attempts: 3,
            until_deadline: false,
            elsewhere: false,
            backoff: Backoff::default(),
            budget: Some(Budget::default()),
            idempotent: Idempotent::default(),
        }
    }

    /// Tries again, where safe and useful, for as long as the call has time: 10 ms after the first attempt,
    /// then 1.3 times longer each time up to a second, less up to 40 %.
    ///
    /// A call without a deadline has the usual attempts.
    pub fn until_deadline() -> Self {
        Self {
            until_deadline: true,
            backoff: Backoff::default().factor(1.3).jitter(0.4),
            ..Self::new()
        }
    }

    /// The attempts of a call in all, the first included; 0 is as good as 1. Those that a layer inside has made, such as
    /// [hedges](crate::HedgeLayer), count too.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long to wait between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What pays for attempts after the first; `None` is no limit. Policies with clones of one budget share it.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<Option<Budget>>) -> Self {
        self.budget = budget.into();
        self
    }

    /// Whether a call that found a queue full on this side is tried again. Off: it is useful only where the
    /// next attempt goes to another replica. It is charged, though it was never sent.
    #[must_use]
    pub fn elsewhere(mut self, elsewhere: bool) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// The methods that may run twice, in place of those named before; calls that [say so](Context::set_idempotent) or
    /// otherwise of themselves are as they say.
    #[must_use]
    pub fn idempotent<M: Into<Method>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.idempotent = Idempotent::new(methods);
        self
    }

    fn has_attempts_left(&self, cx: &Context) -> bool {
        let own = cx.max_attempts();
        let unlimited = self.until_deadline && cx.deadline().is_some() && own.is_none();
        unlimited || cx.attempt().saturating_add(1) < own.unwrap_or(self.attempts)
    }

    fn is_useful(&self, cx: &Context, error: &Error) -> bool {
        match error.kind() {
            Kind::Connection | Kind::Timeout | Kind::Unavailable => true,
            Kind::Unreachable => !cx.is_fail_fast(),
            Kind::Overflow => self.elsewhere || error.origin() != Origin::Local,
            Kind::Internal => error.origin() == Origin::Remote && self.idempotent.covers(cx),
            _ => false,
        }
    }

    fn wait(&self, cx: &Context, error: &Error) -> Duration {
        let backoff = || self.backoff.wait(cx.attempt(), cx.seed().into());
        match (was_never_sent(error), cx.attempt()) {
            (true, 0) => Duration::ZERO,
            // No server has seen it: who asks to wait is on this side, and speaks for one endpoint of several.
            (true, _) => backoff(),
            (false, _) => backoff().saturating_add(error.retry_after().unwrap_or_default()),
        }
    }

    fn has_time(&self, cx: &Context, wait: Duration) -> bool {
        let in_time = |deadline: Instant| {
            let left = deadline.saturating_duration_since(Instant::now());
            wait < left
        };
        wait <= Self::MAX_WAIT && cx.deadline().is_none_or(in_time)
    }

    fn pays(&self, error: &Error) -> bool {
        was_never_sent(error) || self.budget.as_ref().is_none_or(Budget::withdraw)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for RetryPolicy {
    #[inline]
    fn begin(&self, cx: &Context) -> bool {
        if cx.is_one_way() {
            return false;
        }
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        true
    }

    fn retry(&self, cx: &Context, error: &Error) -> Option<Duration> {
        let wait = self.wait(cx, error);
        let tries = self.has_attempts_left(cx)
            && self.is_useful(cx, error)
            && self.idempotent.is_safe(cx, error)
            && self.has_time(cx, wait)
            && self.pays(error);
        tries.then_some(wait)
    }

    fn explain(&self, part: &mut Part) {
        let (min, max) = (self.backoff.min(), self.backoff.max());
        match self.until_deadline {
            true => part.setting("until the deadline"),
            false => part.count(self.attempts.max(1) as usize, "attempt"),
        };
        part.setting(format_args!("waits of {min:?} to {max:?}"));
        match &self.budget {
            Some(budget) => part.setting(budget),
            None => part.setting("no budget"),
        };
        self.idempotent.explain(part);
    }
}

/// Whether the attempt cost the server nothing. One that found a queue full here is a sign of too many calls
/// all the same.
fn was_never_sent(error: &Error) -> bool {
    let full_here = error.kind() == Kind::Overflow && error.origin() == Origin::Local;
    error.execution() == Execution::NotSent && !full_here
}
