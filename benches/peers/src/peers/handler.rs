//! What a server does with a body.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::order::Order;
use crate::workload::{Format, Shape};

/// Messages that this process has handled. One counter will do: only one connection at a time adds to it.
static COUNTED: AtomicU64 = AtomicU64::new(0);

/// The same for every peer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// Sends it back.
    Echo,
    /// Reads an order and answers with its receipt, both in JSON.
    Receipt,
    /// Counts it, for it has no answer.
    Count,
    /// Reads an order, which it sends back. How, is a matter of the peer's codec.
    Exchange(Format),
}

impl Handler {
    /// What a workload calls.
    pub(crate) fn of(shape: Shape) -> Self {
        match shape {
            Shape::Json => Self::Receipt,
            Shape::OneWay => Self::Count,
            Shape::Typed(format) => Self::Exchange(format),
            _ => Self::Echo,
        }
    }

    /// The answer to a body of plain bytes.
    pub(crate) fn answer(self, body: Bytes) -> Bytes {
        match self {
            Self::Echo | Self::Exchange(_) => body,
            Self::Receipt => Bytes::from(receipt(&body)),
            Self::Count => {
                count();
                Bytes::new()
            }
        }
    }
}

/// How many messages this process has counted.
pub(crate) fn counted() -> u64 {
    COUNTED.load(Ordering::Relaxed)
}

pub(super) fn count() {
    COUNTED.fetch_add(1, Ordering::Relaxed);
}

/// The answer to an order. A body that is none has an empty one, which its caller refuses.
pub(super) fn receipt(body: &[u8]) -> Vec<u8> {
    let order = serde_json::from_slice::<Order>(body);
    let receipt = order.and_then(|order| serde_json::to_vec(&order.receipt()));
    receipt.unwrap_or_default()
}
