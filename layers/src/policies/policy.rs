//! What is said of one method, or of many.

use std::time::Duration;

use crate::{Context, Priority};

/// What holds for the calls of a method. What is not said is left to less specific policies, to the layers and
/// to the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a policy says nothing until it is among `MethodPolicies`"]
pub struct MethodPolicy {
    deadline: Option<Duration>,
    cap: Option<Duration>,
    idempotent: Option<bool>,
    attempts: Option<u32>,
    hedge_delay: Option<Duration>,
    priority: Option<Priority>,
    compression: Option<bool>,
}

impl MethodPolicy {
    /// A policy that says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a call has from its start if its caller has not said, instead of the default of a
    /// [`TimeoutLayer`](crate::TimeoutLayer).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long a call lasts at most from its start, whatever its caller has said.
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = Some(cap);
        self
    }

    /// Whether running a call twice is as good as running it once: retries and hedges ask that. It holds
    /// whatever the call says of itself, and those layers of the method.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = Some(idempotent);
        self
    }

    /// How many attempts a call has in all, retries and hedges together and the first included, instead of those of the
    /// layer that retries: 1 to 255.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// How long a call waits for its answer before a [`HedgeLayer`](crate::HedgeLayer) tries it elsewhere too,
    /// instead of the delay of that layer, in whole microseconds.
    pub fn hedge_after(mut self, delay: Duration) -> Self {
        self.hedge_delay = Some(delay);
        self
    }

    /// Calls are never hedged.
    pub fn no_hedge(self) -> Self {
        self.hedge_after(Duration::MAX)
    }

    /// What calls are worth to an [`AdmissionLayer`](crate::AdmissionLayer) that has not room for all.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Whether a layer that compresses may compress the bodies of calls. Unless said, it does as it is set.
    pub fn compression(mut self, compression: bool) -> Self {
        self.compression = Some(compression);
        self
    }

    /// This policy, and `broader` where this one says nothing.
    pub(super) fn or(self, broader: Self) -> Self {
        Self {
            deadline: self.deadline.or(broader.deadline),
            cap: self.cap.or(broader.cap),
            idempotent: self.idempotent.or(broader.idempotent),
            attempts: self.attempts.or(broader.attempts),
            hedge_delay: self.hedge_delay.or(broader.hedge_delay),
            priority: self.priority.or(broader.priority),
            compression: self.compression.or(broader.compression),
        }
    }

    /// Writes all that is said into a call.
    pub(super) fn apply(&self, cx: &mut Context) {
        if let (None, Some(deadline)) = (cx.deadline(), self.deadline) {
            cx.set_timeout(deadline);
        }
        // A cap beyond what the clock can represent is none.
        if let Some(end) = self.cap.and_then(|cap| cx.start().checked_add(cap)) {
            cx.limit_deadline(end);
        }
        if let Some(idempotent) = self.idempotent {
            cx.set_idempotent(idempotent);
        }
        if self.attempts.is_some() {
            cx.set_max_attempts(self.attempts);
        }
        if self.hedge_delay.is_some() {
            cx.set_hedge_delay(self.hedge_delay);
        }
        if let Some(priority) = self.priority {
            cx.set_priority(priority);
        }
        if self.compression.is_some() {
            cx.set_compression(self.compression);
        }
    }
}
