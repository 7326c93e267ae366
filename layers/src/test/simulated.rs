//! A service whose readiness is a grant that can be counted.

use std::{
    fmt,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_service::Service;

use super::ledger::{Grant, Ledger, Running};
use crate::{Error, Execution, Kind, Lifecycle};

/// The service under a layer that is [probed](super::probe): it takes any request. It can be the connection of a replica
/// as well, for layers over these: one that is open and stays so.
///
/// It has room for a few calls. Being ready takes one of these places for this instance, calling passes it on
/// to the call, and a clone begins without.
pub struct Simulated<T> {
    conduct: Conduct,
    ledger: Arc<Ledger>,
    response: Arc<dyn Fn() -> T + Send + Sync>,
    grant: Option<Grant>,
    has_hesitated: bool,
}

/// How a simulated service behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conduct {
    /// Calls that have room at once.
    pub(super) room: usize,
    pub(super) readiness: Readiness,
    pub(super) answer: Answer,
    /// Calls that fail before others are answered.
    pub(super) failing: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Readiness {
    /// Fails.
    Broken,
    /// Is pending once before each call.
    Hesitant,
    /// Comes at once.
    Prompt,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answer {
    /// Is pending once.
    Late,
    /// Never comes.
    Never,
}

impl<T> Simulated<T> {
    pub(super) fn new(
        conduct: Conduct,
        ledger: Arc<Ledger>,
        response: Arc<dyn Fn() -> T + Send + Sync>,
    ) -> Self {
        Self {
            conduct,
            ledger,
            response,
            grant: None,
            has_hesitated: false,
        }
    }
}

impl<T, R> Service<R> for Simulated<T> {
    type Response = T;
    type Error = Error;
    type Future = Answering<T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.grant.is_some() {
            return Poll::Ready(Ok(()));
        }
        match self.conduct.readiness {
            Readiness::Broken => return Poll::Ready(Err(broken())),
            Readiness::Hesitant if !self.has_hesitated => {
                self.has_hesitated = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ => {}
        }
        self.grant = self.ledger.grant(cx.waker());
        match self.grant {
            Some(_) => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    fn call(&mut self, _: R) -> Answering<T> {
        if self.grant.is_none() {
            let what = "called a service that was not ready: it, or the instance it was cloned from, \
                        was not asked, or had its call already";
            self.ledger.fault(what.to_owned());
        }
        self.has_hesitated = false;
        let (earlier, running) = self.ledger.begin();
        Answering {
            result: match earlier < self.conduct.failing {
                true => Some(Err(refused())),
                false => Some(Ok((self.response)())),
            },
            answer: self.conduct.answer,
            polled: false,
            holds: Some((running, self.grant.take())),
        }
    }
}

impl<T: 'static> Lifecycle for Simulated<T> {
    async fn handshaken(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn draining(&self) {
        pending().await
    }

    async fn closed(&self) {
        pending().await
    }

    async fn ping(&self) -> Result<Duration, Error> {
        Ok(Duration::ZERO)
    }

    async fn drain(&self) {}

    fn close(&self) {}

    fn pending(&self) -> usize {
        0
    }
}

/// A clone is not ready.
impl<T> Clone for Simulated<T> {
    fn clone(&self) -> Self {
        Self::new(self.conduct, self.ledger.clone(), self.response.clone())
    }
}

impl<T> fmt::Debug for Simulated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated")
            .field("conduct", &self.conduct)
            .field("is_ready", &self.grant.is_some())
            .finish_non_exhaustive()
    }
}

/// The answer of a [`Simulated`] service.
pub struct Answering<T> {
    result: Option<Result<T, Error>>,
    answer: Answer,
    polled: bool,
    /// Given back when the call ends.
    holds: Option<(Running, Option<Grant>)>,
}

impl<T> Unpin for Answering<T> {}

impl<T> Future for Answering<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.answer {
            Answer::Never => return Poll::Pending,
            Answer::Late if !self.polled => {
                self.polled = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Answer::Late => {}
        }
        self.holds = None;
        Poll::Ready(
            self.result
                .take()
                .expect("`Answering` polled after completion"),
        )
    }
}

impl<T> fmt::Debug for Answering<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

fn broken() -> Error {
    Error::new(Kind::Closed, "broken on purpose")
}

fn refused() -> Error {
    Error::new(Kind::Unavailable, "refused on purpose").with_execution(Execution::NotStarted)
}
