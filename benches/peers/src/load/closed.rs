//! A caller whose next call begins when the last is answered.

use bytes::Bytes;
use tokio::time::Instant;

use super::echo;
use crate::Error;
use crate::harness::probe::Meter;
use crate::peers::Caller;

/// Calls for ever.
pub(super) async fn run<C: Caller>(
    caller: C,
    payload: Bytes,
    meter: Meter,
    sample_every: u64,
) -> Result<(), Error> {
    run_while(caller, payload, meter, sample_every, || true).await
}

/// Calls as long as `wanted`, which is asked now and then. Times one call in `sample_every`.
pub(super) async fn run_while<C: Caller>(
    mut caller: C,
    payload: Bytes,
    meter: Meter,
    sample_every: u64,
    wanted: impl Fn() -> bool + Send,
) -> Result<(), Error> {
    while wanted() {
        let began = Instant::now();
        echo(&mut caller, &payload).await?;
        meter.record(began.elapsed(), 1);
        meter.add(1);
        for _ in 1..sample_every {
            echo(&mut caller, &payload).await?;
            meter.add(1);
        }
    }
    Ok(())
}
