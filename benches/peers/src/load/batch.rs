//! Many calls at once from one task, which waits for all of them.

use bytes::Bytes;
use tokio::time::Instant;

use crate::Error;
use crate::harness::probe::Meter;
use crate::peers::Caller;

/// Calls per batch.
const BATCH: usize = 512;

/// Times whole batches: a call is as late as the last of its batch.
pub(super) async fn run<C: Caller>(
    mut caller: C,
    payload: Bytes,
    meter: Meter,
) -> Result<(), Error> {
    loop {
        let began = Instant::now();
        caller.batch(&payload, BATCH).await?;
        meter.record(began.elapsed(), BATCH as u64);
        meter.add(BATCH as u64);
    }
}
