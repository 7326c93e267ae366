//! A service in front of another that is not always ready.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use fastrand::Rng;
use steeple::{Error, Kind, Request};
use tokio::time::{Sleep, sleep};
use tower::Service;

/// Lets through, makes wait, or refuses, as it draws before each call.
pub(crate) struct Gate<S> {
    inner: S,
    rng: Rng,
    /// Whether it refuses at all.
    refuses: bool,
    state: State,
}

enum State {
    /// To be drawn.
    Unknown,
    Shut(Pin<Box<Sleep>>),
    Open,
}

impl<S> Gate<S> {
    pub(crate) fn new(inner: S, rng: Rng, refuses: bool) -> Self {
        Self {
            inner,
            rng,
            refuses,
            state: State::Unknown,
        }
    }
}

impl<S: Service<Request, Error = Error>> Service<Request> for Gate<S> {
    type Response = S::Response;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.state {
                State::Open => return self.inner.poll_ready(cx),
                State::Shut(wait) => {
                    ready!(wait.as_mut().poll(cx));
                    self.state = State::Open;
                }
                State::Unknown => match self.rng.u8(0..12) {
                    0 if self.refuses => {
                        return Poll::Ready(Err(Error::new(Kind::Unavailable, "shut")));
                    }
                    1 | 2 => {
                        let wait = Duration::from_millis(self.rng.u64(0..10));
                        self.state = State::Shut(Box::pin(sleep(wait)));
                    }
                    _ => self.state = State::Open,
                },
            }
        }
    }

    fn call(&mut self, request: Request) -> S::Future {
        assert!(matches!(self.state, State::Open), "called, and not ready");
        self.state = State::Unknown;
        self.inner.call(request)
    }
}

impl<S: Clone> Clone for Gate<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.rng.clone(), self.refuses)
    }
}
