//! The answer to a call that was made.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{answer::plain, inflight::Key, mailbox::Mailbox};
use crate::{Body, Error, Response};

/// The answer to a call on a [`Channel`](crate::Channel) or [`Peer`](crate::Peer).
///
/// The call was made when this was returned, whether or not it is ever polled. Dropping it cancels the call:
/// what has not gone out never will, and what has is taken back over the wire.
/// [`detach`](Self::detach) lets it run instead.
#[must_use = "dropping the answer cancels the call; `detach` lets it run"]
pub struct ResponseFuture(State);

enum State {
    /// The call was made.
    Waiting { key: Key, mailbox: Arc<Mailbox> },
    /// There is a result, and there was no call.
    /// A message without an answer went out.
    Sent,
    /// It never went out.
    Failed(Error),
    /// The result was taken.
    Taken,
}

impl ResponseFuture {
    pub(super) fn waiting(key: Key, mailbox: Arc<Mailbox>) -> Self {
        Self(State::Waiting { key, mailbox })
    }

    pub(super) fn sent() -> Self {
        Self(State::Sent)
    }

    pub(super) fn failed(error: Error) -> Self {
        Self(State::Failed(error))
    }

    /// Lets the call run to its end although nobody waits for the answer.
    pub fn detach(mut self) {
        if let State::Waiting { mailbox, .. } = std::mem::replace(&mut self.0, State::Taken) {
            mailbox.close();
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Waiting { mailbox, .. } = &self.0 {
            let poll = mailbox.poll(cx.waker());
            if poll.is_ready() {
                self.0 = State::Taken;
            }
            return poll.map(plain);
        }
        match std::mem::replace(&mut self.0, State::Taken) {
            State::Sent => Poll::Ready(Ok(Response::default())),
            State::Failed(error) => Poll::Ready(Err(error)),
            _ => panic!("`ResponseFuture` polled after completion"),
        }
    }
}

impl Drop for ResponseFuture {
    fn drop(&mut self) {
        if let State::Waiting { key, mailbox } = &self.0
            && mailbox.close()
            && let Some(connection) = mailbox.connection()
        {
            connection.abandon(*key);
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.0 {
            State::Waiting { .. } => "waiting",
            State::Sent => "sent",
            State::Failed(_) => "failed",
            State::Taken => "taken",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
