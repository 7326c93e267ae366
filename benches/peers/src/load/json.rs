//! Calls with JSON in their bodies, as a service between programs in several languages has them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Error;
use crate::harness::probe::Meter;
use crate::peers::Caller;

/// What a client sends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) customer: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) note: Option<String>,
}

/// One line of an order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) article: String,
    pub(crate) count: u32,
    pub(crate) cents: u64,
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) id: u64,
    pub(crate) customer: String,
    pub(crate) total_cents: u64,
}

/// Writes an order, calls, reads the receipt.
pub(super) async fn run<C: Caller>(
    mut caller: C,
    meter: Meter,
    sample_every: u64,
) -> Result<(), Error> {
    let line = |article: &str, count, cents| Line {
        article: article.to_owned(),
        count,
        cents,
    };
    let mut order = Order {
        id: 0,
        customer: "Brunel & Sons, Rotherhithe".to_owned(),
        lines: vec![
            line("rivet, 3/4 in", 12_000, 2),
            line("plate, 1/2 in", 340, 1_895),
        ],
        note: Some("deliver to the yard, not the office".to_owned()),
    };
    loop {
        order.id += 1;
        let began = Instant::now();
        let reply = caller
            .call(&Bytes::from(serde_json::to_vec(&order)?))
            .await?;
        let receipt: Receipt = serde_json::from_slice(reply.as_ref())?;
        if receipt.id != order.id {
            return Err(format!("order {} was answered with {receipt:?}", order.id).into());
        }
        if order.id.is_multiple_of(sample_every) {
            meter.record(began.elapsed(), 1);
        }
        meter.add(1);
    }
}
