//! A call that is made, or refused before it is: what the layers that refuse have in common.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{AsError, Error};

/// Leave to run, given back on drop.
pub(crate) trait Pass {
    /// The call has ended by itself, with this error unless it succeeded.
    fn ended<E: AsError>(&mut self, _error: Option<&E>) {}
}

/// A layer that only refuses has nothing to give back.
impl Pass for () {}

pin_project! {
    /// The answer of a layer that makes a call or refuses it.
    #[derive(Debug)]
    pub(crate) struct Decided<F, P> {
        #[pin]
        state: State<F, P>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F, P> {
        /// The call was made.
        Called {
            // Dropped before the pass.
            #[pin]
            call: F,
            pass: P,
        },
        /// It is not to be made.
        Refused { error: Option<Error> },
        /// The result was taken.
        Done,
    }
}

impl<F, P> Decided<F, P> {
    pub(crate) fn called(call: F, pass: P) -> Self {
        Self {
            state: State::Called { call, pass },
        }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }

    /// What the `service` holds for being ready is given back: somebody else may wait for it, as a retry of this call.
    pub(crate) fn refused_by<S: Clone>(service: &mut S, error: Error) -> Self {
        *service = service.clone();
        Self::refused(error)
    }
}

impl<F, P, T, E> Future for Decided<F, P>
where
    F: Future<Output = Result<T, E>>,
    P: Pass,
    E: From<Error> + AsError,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let end = match state.as_mut().project() {
            StateProjection::Called { call, pass } => {
                let end = ready!(call.poll(cx));
                pass.ended(end.as_ref().err());
                end
            }
            StateProjection::Refused { error } => {
                Err(error.take().expect("taken with the state").into())
            }
            StateProjection::Done => panic!("polled after completion"),
        };
        // Others have their turn now, and not when the caller lets go of this future.
        state.set(State::Done);
        Poll::Ready(end)
    }
}
