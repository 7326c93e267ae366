//! Answers of another service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Fallback, Instead};
use crate::{AsError, Replay, idempotent::Idempotent, retry::furthest, spare::Spare};

/// The answers of another service; made by [`FallbackLayer::service`](super::FallbackLayer::service).
#[derive(Clone, Debug)]
pub struct Other<S> {
    spare: Spare<S>,
    pub(super) idempotent: Idempotent,
}

impl<S: Clone> Other<S> {
    pub(super) fn new(service: &S) -> Self {
        Self {
            spare: Spare::new(service),
            idempotent: Idempotent::default(),
        }
    }
}

impl<S, O, R> Service<R> for Fallback<S, Other<O>>
where
    R: Replay,
    S: Service<R>,
    S::Error: AsError,
    O: Service<R, Response = S::Response, Error = S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = OtherFuture<S, O, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> OtherFuture<S, O, R> {
        let replay = match request.cx().is_one_way() {
            true => None,
            false => request.replay(),
        };
        OtherFuture {
            state: State::Called {
                call: self.inner.call(request),
            },
            next: replay.map(|replay| (replay, self.instead.clone())),
            failure: None,
        }
    }
}

pin_project! {
    /// The answer of a [`Fallback`] to another service. Dropping it cancels the call at either.
    #[must_use = "futures do nothing unless polled"]
    pub struct OtherFuture<S, O, R>
    where
        S: Service<R>,
        O: Service<R>,
    {
        #[pin]
        state: State<O, S::Future, O::Future>,
        // What a call to the other service is made of.
        next: Option<(R, Arc<Instead<Other<O>>>)>,
        // That of the first service.
        failure: Option<S::Error>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<O, F, G> {
        /// At the first service.
        Called {
            #[pin]
            call: F,
        },
        /// The other service is made ready.
        Readying { service: O },
        /// At the other service.
        Fallen {
            #[pin]
            call: G,
        },
        /// The result was taken.
        Done,
    }
}

impl<S, O, R> Future for OtherFuture<S, O, R>
where
    R: Replay,
    S: Service<R>,
    S::Error: AsError,
    O: Service<R, Response = S::Response, Error = S::Error> + Clone,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Called { call } => {
                    let result = ready!(call.poll(cx));
                    let error = result.as_ref().err();
                    match error.and_then(|error| other(this.next.as_ref(), error)) {
                        Some(service) => {
                            *this.failure = result.err();
                            State::Readying { service }
                        }
                        None => break result,
                    }
                }
                StateProjection::Readying { service } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        let (request, _) = this.next.take().expect("a call falls back once");
                        State::Fallen {
                            call: service.call(request),
                        }
                    }
                    Err(error) => break Err(error),
                },
                StateProjection::Fallen { call } => break ready!(call.poll(cx)),
                StateProjection::Done => panic!("`OtherFuture` polled after completion"),
            };
            this.state.set(next);
        };
        this.state.set(State::Done);
        *this.next = None;
        let failure = this.failure.take();
        Poll::Ready(result.map_err(|error| furthest(failure, error)))
    }
}

/// The service to fall back to, if the call can be made there after this error.
fn other<O: Clone, R: Replay>(
    next: Option<&(R, Arc<Instead<Other<O>>>)>,
    error: &impl AsError,
) -> Option<O> {
    let (replay, instead) = next?;
    let error = instead.covers(error)?;
    let other = &instead.answer;
    let is_safe = other.idempotent.is_safe(replay.cx(), error);
    is_safe.then(|| other.spare.service())
}

impl<S: Service<R>, O: Service<R>, R> fmt::Debug for OtherFuture<S, O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Called { .. } => "called",
            State::Readying { .. } => "readying",
            State::Fallen { .. } => "fallen back",
            State::Done => "done",
        };
        f.debug_tuple("OtherFuture").field(&state).finish()
    }
}
