//! Bodies of 64 MiB, one after the other, beside the calls that are measured.

use bytes::Bytes;

use crate::Error;
use crate::harness::probe::{Phase, Probe};
use crate::peers::{Caller, MAX_BODY};

/// How many small calls fall due: by the clock, or a caller that is stuck behind a body would have one late call to show
/// where it should have had many. Few enough that a peer keeps up that takes milliseconds for each.
pub(super) const CALLS_PER_S: f64 = 200.0;

/// Waits for the second phase, and transfers from then on. What has crossed is counted: a peer that held the
/// transfer up for as long as there are small calls would show the best latencies.
pub(super) async fn transfer<C: Caller>(mut caller: C, probe: &Probe) -> Result<(), Error> {
    probe.reached(Phase::Second).await;
    let body = Bytes::from(vec![0x5a; MAX_BODY]);
    loop {
        caller.echo(&body).await?;
        probe.count_bytes(2 * MAX_BODY);
    }
}
