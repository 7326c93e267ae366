//! A caller whose next call begins when the last is answered.

use bytes::Bytes;

use crate::Error;
use crate::harness::probe::Meter;
use crate::peers::Caller;

/// Calls as long as it is `wanted`.
pub(super) async fn run_while<C: Caller>(
    mut caller: C,
    payload: Bytes,
    mut meter: Meter,
    wanted: impl Fn() -> bool + Send,
) -> Result<(), Error> {
    while wanted() {
        let began = meter.begin();
        caller.echo(&payload).await?;
        meter.end(began);
    }
    Ok(())
}
