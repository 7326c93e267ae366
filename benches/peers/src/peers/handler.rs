//! What a server does with a body.

use bytes::Bytes;

use crate::load::json::{Order, Receipt};
use crate::workload::Shape;

/// The same for every peer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// Sends it back.
    Echo,
    /// Reads an order and answers with its receipt, both in JSON.
    Receipt,
}

impl Handler {
    /// What a workload calls.
    pub(crate) fn of(shape: Shape) -> Self {
        if shape == Shape::Json {
            Self::Receipt
        } else {
            Self::Echo
        }
    }

    /// The answer to a body.
    pub(crate) fn answer(self, body: Bytes) -> Bytes {
        match self {
            Self::Echo => body,
            Self::Receipt => Bytes::from(receipt(&body)),
        }
    }
}

/// The answer to an order. A body that is none has an empty one, which its caller refuses.
pub(super) fn receipt(body: &[u8]) -> Vec<u8> {
    let Ok(order) = serde_json::from_slice::<Order>(body) else {
        return Vec::new();
    };
    let total = |cents, line: &crate::load::json::Line| cents + u64::from(line.count) * line.cents;
    let total_cents = order.lines.iter().fold(0, total);
    let receipt = Receipt {
        id: order.id,
        customer: order.customer,
        total_cents,
    };
    serde_json::to_vec(&receipt).unwrap_or_default()
}
