//! Calls that carry a value, which the peer's codec writes and reads on both sides.

use crate::Error;
use crate::harness::probe::Meter;
use crate::order::Order;
use crate::peers::Caller;
use crate::workload::Format;

/// Sends orders and gets each back, as long as `wanted`.
pub(super) async fn run_while<C: Caller>(
    mut caller: C,
    format: Format,
    meter: &mut Meter,
    wanted: impl Fn() -> bool + Send,
) -> Result<(), Error> {
    let example = Order::example();
    let mut id = 0;
    while wanted() {
        id += 1;
        let began = meter.begin();
        // Made anew for each call, for every peer: some take it away and some only look at it.
        let mut order = example.clone();
        order.id = id;
        let answer = caller.exchange(order, format).await?;
        if answer.id != id || answer.lines.len() != example.lines.len() {
            return Err(format!("order {id} came back as {answer:?}").into());
        }
        meter.end(began);
    }
    Ok(())
}
