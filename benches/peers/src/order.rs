//! What calls carry where bodies are no plain bytes: an order, and its receipt.

use serde::{Deserialize, Serialize};

/// What a client sends.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
pub(crate) struct Order {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) customer: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) lines: Vec<Line>,
    #[prost(string, optional, tag = "4")]
    pub(crate) note: Option<String>,
}

/// One line of an order.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
pub(crate) struct Line {
    #[prost(string, tag = "1")]
    pub(crate) article: String,
    #[prost(uint32, tag = "2")]
    pub(crate) count: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) cents: u64,
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) id: u64,
    pub(crate) customer: String,
    pub(crate) total_cents: u64,
}

impl Order {
    /// An order of two lines; callers give each its own id.
    pub(crate) fn example() -> Self {
        let line = |article: &str, count, cents| Line {
            article: article.to_owned(),
            count,
            cents,
        };
        Self {
            id: 0,
            customer: "Brunel & Sons, Rotherhithe".to_owned(),
            lines: vec![
                line("rivet, 3/4 in", 12_000, 2),
                line("plate, 1/2 in", 340, 1_895),
            ],
            note: Some("deliver to the yard, not the office".to_owned()),
        }
    }

    /// What the server answers to it.
    pub(crate) fn receipt(self) -> Receipt {
        let total = |cents, line: &Line| cents + u64::from(line.count) * line.cents;
        Receipt {
            id: self.id,
            total_cents: self.lines.iter().fold(0, total),
            customer: self.customer,
        }
    }
}
