//! Calls with JSON in their bodies, as a service between programs in several languages has them.

use bytes::Bytes;

use crate::Error;
use crate::harness::probe::Meter;
use crate::order::{Order, Receipt};
use crate::peers::Caller;

/// Writes an order, calls, reads the receipt.
pub(super) async fn run<C: Caller>(mut caller: C, mut meter: Meter) -> Result<(), Error> {
    let mut order = Order::example();
    loop {
        order.id += 1;
        let began = meter.begin();
        let reply = caller
            .call(&Bytes::from(serde_json::to_vec(&order)?))
            .await?;
        let receipt: Receipt = serde_json::from_slice(reply.as_ref())?;
        if receipt.id != order.id {
            return Err(format!("order {} was answered with {receipt:?}", order.id).into());
        }
        meter.end(began);
    }
}
