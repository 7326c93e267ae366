//! The state of a breaker.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{BreakerPolicy, State, window::Window};
use crate::{AsError, Error, Kind, Method, decided, outcome::Outcome};

/// What a breaker watches together, and whether it lets calls through. A handle: clones are the same circuit.
///
/// ```
/// use steeple_layers::{BreakerLayer, BreakerPolicy, breaker::Circuit};
///
/// let circuit = Circuit::new(BreakerPolicy::default());
/// let layer = BreakerLayer::of(circuit.clone());
///
/// circuit.trip("maintenance until six");
/// assert_eq!(circuit.state().to_string(), "open until it is reset: maintenance until six");
/// circuit.reset();
/// assert_eq!(circuit.state().to_string(), "closed");
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct Circuit(Arc<Inner>);

struct Inner {
    policy: BreakerPolicy,
    name: Method,
    /// Counts what happened to the circuit: it is closed as long as this is even. A call counts only for the
    /// phase that it began in.
    phase: AtomicU64,
    /// Failures since the last success.
    failures: AtomicU32,
    /// Successes in this half of the window.
    good: AtomicU32,
    rest: Mutex<Rest>,
}

/// What is touched only when a call fails, or the circuit is not closed.
struct Rest {
    window: Window,
    broken: Option<Broken>,
}

/// Why and until when a circuit is not closed.
struct Broken {
    reason: String,
    /// Never, if it was tripped.
    until: Option<Instant>,
    is_probing: bool,
    /// How many probes have failed.
    probes: u32,
}

/// A call that was let through.
#[derive(Debug)]
pub(super) struct Pass {
    circuit: Circuit,
    phase: u64,
    is_probe: bool,
    is_over: bool,
}

impl Circuit {
    /// A circuit that is closed, and opens as `policy` says.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self::named(policy, Method::default())
    }

    pub(super) fn named(policy: BreakerPolicy, name: Method) -> Self {
        Self(Arc::new(Inner {
            policy,
            name,
            phase: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            good: AtomicU32::new(0),
            rest: Mutex::new(Rest {
                window: Window::new(),
                broken: None,
            }),
        }))
    }

    /// What it does with calls, and why.
    pub fn state(&self) -> State {
        match &self.rest().broken {
            None => State::Closed {
                failures: self.0.failures.load(Relaxed),
            },
            Some(broken) => broken.state(Instant::now()),
        }
    }

    /// Opens it until it is [reset](Self::reset), for this reason, whatever its state. Calls under way go on, and do not
    /// count.
    pub fn trip(&self, reason: impl Into<String>) {
        let broken = Broken {
            reason: reason.into(),
            until: None,
            is_probing: false,
            probes: 0,
        };
        self.open(&mut self.rest(), broken);
    }

    /// Closes it, and forgets what has failed. Calls under way do not count.
    pub fn reset(&self) {
        self.close(&mut self.rest());
    }

    /// A call asks to be let through.
    pub(super) fn enter(&self) -> Result<Pass, Error> {
        let phase = self.0.phase.load(Acquire);
        if is_closed(phase) {
            return Ok(self.pass(phase, false));
        }
        let mut rest = self.rest();
        // It may have changed since.
        let phase = self.0.phase.load(Acquire);
        let Some(broken) = &mut rest.broken else {
            return Ok(self.pass(phase, false));
        };
        let now = Instant::now();
        match broken.state(now) {
            State::HalfOpen {
                is_probing: false, ..
            } => {
                broken.is_probing = true;
                Ok(self.pass(phase, true))
            }
            state => Err(self.refusal(&state)),
        }
    }

    fn pass(&self, phase: u64, is_probe: bool) -> Pass {
        Pass {
            circuit: self.clone(),
            phase,
            is_probe,
            is_over: false,
        }
    }

    fn refusal(&self, state: &State) -> Error {
        let error = match self.0.name.as_str() {
            "" => Error::new(Kind::Unreachable, format!("the circuit is {state}")),
            name => Error::new(
                Kind::Unreachable,
                format!("the circuit of {name} is {state}"),
            ),
        };
        match state {
            State::Open {
                left: Some(left), ..
            } => error.with_retry_after(*left),
            _ => error,
        }
    }

    fn succeeded(&self) {
        // Not written unless it changes: all cores read it.
        if self.0.failures.load(Relaxed) != 0 {
            self.0.failures.store(0, Relaxed);
        }
        if self.0.policy.ratio.is_some() {
            self.0.good.fetch_add(1, Relaxed);
        }
    }

    fn failed(&self, phase: u64, error: &str) {
        let (policy, now) = (&self.0.policy, Instant::now());
        let mut rest = self.rest();
        if self.0.phase.load(Relaxed) != phase {
            return;
        }
        let in_a_row = self.0.failures.fetch_add(1, Relaxed).saturating_add(1);
        let (failed, calls) = rest.window.fail(&self.0.good, policy.window, now);
        let reason = if policy.failures.is_some_and(|most| in_a_row >= most) {
            format!("{in_a_row} failures in a row, the last: {error}")
        } else if policy.ratio.is_some_and(|ratio| {
            calls >= ratio.least && f64::from(failed) >= ratio.share * f64::from(calls)
        }) {
            format!("{failed} of {calls} calls failed, the last: {error}")
        } else {
            return;
        };
        self.open_for(&mut rest, reason, 0, now);
    }

    /// The call is over that was to show whether the circuit can be closed.
    fn probed(&self, phase: u64, outcome: Outcome, error: &str) {
        let mut rest = self.rest();
        if self.0.phase.load(Relaxed) != phase {
            return;
        }
        let Some(broken) = &mut rest.broken else {
            return;
        };
        match outcome {
            Outcome::Good => self.close(&mut rest),
            Outcome::Bad => {
                let probes = broken.probes.saturating_add(1);
                let reason = match probes {
                    1 => format!("the call to try it failed: {error}"),
                    _ => format!("{probes} calls to try it failed, the last: {error}"),
                };
                self.open_for(&mut rest, reason, probes, Instant::now());
            }
            Outcome::Neither => broken.is_probing = false,
        }
    }

    fn open_for(&self, rest: &mut Rest, reason: String, probes: u32, now: Instant) {
        let wait = self.0.policy.open_for.wait(probes, fastrand::u64(..));
        let broken = Broken {
            reason,
            // What no clock can count to is longer than any process runs.
            until: now.checked_add(wait),
            is_probing: false,
            probes,
        };
        self.open(rest, broken);
    }

    fn open(&self, rest: &mut Rest, broken: Broken) {
        tracing::warn!(target: "steeple::call", circuit = %self.0.name, reason = broken.reason, "a circuit is open");
        rest.broken = Some(broken);
        let phase = self.0.phase.load(Relaxed);
        self.0.phase.store((phase + 1) | 1, Release);
    }

    fn close(&self, rest: &mut Rest) {
        if rest.broken.take().is_some() {
            tracing::info!(target: "steeple::call", circuit = %self.0.name, "a circuit is closed");
        }
        self.0.failures.store(0, Relaxed);
        rest.window.clear(&self.0.good);
        let phase = self.0.phase.load(Relaxed);
        self.0.phase.store((phase | 1) + 1, Release);
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.0.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broken {
    fn state(&self, now: Instant) -> State {
        let reason = self.reason.clone();
        let left = self.until.map(|until| until.saturating_duration_since(now));
        match left {
            Some(Duration::ZERO) => State::HalfOpen {
                is_probing: self.is_probing,
                reason,
            },
            left => State::Open { left, reason },
        }
    }
}

impl decided::Pass for Pass {
    fn ended<E: AsError>(&mut self, error: Option<&E>) {
        self.is_over = true;
        let outcome = Outcome::of(error);
        let is_current = || self.circuit.0.phase.load(Relaxed) == self.phase;
        match outcome {
            _ if self.is_probe => {
                self.circuit.probed(self.phase, outcome, &text(error));
            }
            Outcome::Good if is_current() => self.circuit.succeeded(),
            Outcome::Bad if is_current() => {
                self.circuit.failed(self.phase, &text(error));
            }
            _ => {}
        }
    }
}

/// Who gives a probe up leaves it to the next call.
impl Drop for Pass {
    fn drop(&mut self) {
        if self.is_probe && !self.is_over {
            self.circuit.probed(self.phase, Outcome::Neither, "");
        }
    }
}

fn is_closed(phase: u64) -> bool {
    phase.is_multiple_of(2)
}

fn text<E: AsError>(error: Option<&E>) -> String {
    let error = error.and_then(E::as_error);
    error.map_or_else(|| "an error of another kind".to_owned(), Error::to_string)
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("name", &self.0.name)
            .field("state", &self.state())
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}
