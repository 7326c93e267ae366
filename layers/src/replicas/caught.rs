//! Panics of what a set was given: its resolver, its connector, layers, connections and probes.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use crate::{Error, Kind};

/// What is the user's; a panic of it, with this text, is one more reason why it failed.
pub(super) async fn caught<T>(
    text: &'static str,
    what: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut what = pin!(what);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| what.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| {
            let error = Error::new(Kind::Internal, text);
            Poll::Ready(Err(error))
        })
    })
    .await
}
