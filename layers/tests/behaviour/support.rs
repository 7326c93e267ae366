//! A service that plays a script.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use steeple_layers::{Carry, Error, Execution, Kind, Replay};
use tokio::time::sleep;
use tower::Service;

/// A request that is nothing but its context.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) cx: steeple_layers::Context,
    /// How often it can still be copied.
    pub(crate) copies: u32,
}

/// What the service does with one call.
#[derive(Debug)]
pub(crate) enum Step {
    Answer,
    Fail(Error),
    /// Never ends.
    Hang,
    /// Answers after this long.
    Late(Duration),
}

/// Plays its steps call by call, and answers when there are none left. Clones play one script.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<Mutex<Played>>);

#[derive(Debug, Default)]
pub(crate) struct Played {
    steps: VecDeque<Step>,
    /// The context of every attempt.
    pub(crate) calls: Vec<steeple_layers::Context>,
    /// Attempts that were dropped before they ended.
    pub(crate) cancelled: usize,
}

impl Call {
    pub(crate) fn new(method: &'static str) -> Self {
        Self {
            cx: steeple_layers::Context::new(method),
            copies: u32::MAX,
        }
    }

    pub(crate) fn idempotent(mut self) -> Self {
        self.cx.set_idempotent(true);
        self
    }

    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.cx.set_timeout(timeout);
        self
    }
}

impl Carry for Call {
    fn cx(&self) -> &steeple_layers::Context {
        &self.cx
    }

    fn cx_mut(&mut self) -> &mut steeple_layers::Context {
        &mut self.cx
    }
}

impl Replay for Call {
    fn replay(&self) -> Option<Self> {
        let mut copy = self.clone();
        copy.copies = self.copies.checked_sub(1)?;
        Some(copy)
    }
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = steps.into_iter().collect();
        Self(Arc::new(Mutex::new(Played {
            steps,
            ..Played::default()
        })))
    }

    /// Fails this often in the same way, then answers.
    pub(crate) fn failing(times: usize, error: impl Fn() -> Error) -> Self {
        Self::new((0..times).map(|_| Step::Fail(error())))
    }

    /// Plays these steps after those that are left.
    pub(crate) fn plays(&self, steps: impl IntoIterator<Item = Step>) {
        self.played().steps.extend(steps);
    }

    pub(crate) fn played(&self) -> MutexGuard<'_, Played> {
        self.0.lock().unwrap()
    }

    pub(crate) fn attempts(&self) -> usize {
        self.played().calls.len()
    }
}

impl Service<Call> for Script {
    /// How many calls there were so far.
    type Response = usize;
    type Error = Error;
    type Future = Playing;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Playing {
        let mut played = self.played();
        played.calls.push(call.cx);
        let (count, step) = (played.calls.len(), played.steps.pop_front());
        let script = Some(self.clone());
        Playing {
            script,
            inner: Box::pin(async move {
                match step {
                    None | Some(Step::Answer) => {}
                    Some(Step::Fail(error)) => return Err(error),
                    Some(Step::Hang) => std::future::pending().await,
                    Some(Step::Late(time)) => sleep(time).await,
                }
                Ok(count)
            }),
        }
    }
}

pub(crate) struct Playing {
    /// Taken when the attempt ends.
    script: Option<Script>,
    inner: Pin<Box<dyn Future<Output = Result<usize, Error>> + Send>>,
}

impl Future for Playing {
    type Output = Result<usize, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = self.inner.as_mut().poll(cx);
        if poll.is_ready() {
            self.script = None;
        }
        poll
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        if let Some(script) = &self.script {
            script.played().cancelled += 1;
        }
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A failure that may have been executed.
pub(crate) fn reset() -> Error {
    Error::new(Kind::Connection, "reset").with_execution(Execution::MaybeExecuted)
}

/// A failure before anything was sent.
pub(crate) fn unsent() -> Error {
    Error::new(Kind::Connection, "gone")
}

/// A server's refusal before its handler began.
pub(crate) fn refused() -> Error {
    Error::new(Kind::Unavailable, "draining")
        .with_origin(steeple_layers::Origin::Remote)
        .with_execution(Execution::NotStarted)
}
