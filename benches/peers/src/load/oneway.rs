//! Messages without an answer.

use bytes::Bytes;
use tokio::task::yield_now;

use crate::Error;
use crate::harness::probe::Meter;
use crate::peers::Caller;

/// Sends for ever. What counts is what the server has handled, not what this side got rid of.
pub(super) async fn run<C: Caller>(
    mut caller: C,
    payload: Bytes,
    meter: Meter,
) -> Result<(), Error> {
    loop {
        if caller.notify(&payload).await? {
            meter.add(1);
        } else {
            // Until the socket has taken some of it there is no room.
            yield_now().await;
        }
    }
}
