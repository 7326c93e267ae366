//! Calls that carry a value, which the peer's codec writes and reads on both sides.

use tokio::time::Instant;

use crate::Error;
use crate::harness::probe::Meter;
use crate::order::Order;
use crate::peers::Caller;
use crate::workload::Format;

/// Sends orders and gets each back, as long as `wanted`.
pub(super) async fn run_while<C: Caller>(
    mut caller: C,
    format: Format,
    meter: &Meter,
    sample_every: u64,
    wanted: impl Fn() -> bool + Send,
) -> Result<(), Error> {
    let mut order = Order::example();
    while wanted() {
        order.id += 1;
        let began = Instant::now();
        let answer = caller.exchange(&order, format).await?;
        if answer != order {
            return Err(format!("{order:?} came back as {answer:?}").into());
        }
        if order.id.is_multiple_of(sample_every) {
            meter.record(began.elapsed(), 1);
        }
        meter.add(1);
    }
    Ok(())
}
