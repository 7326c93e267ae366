//! What a server does with its listener, its connections and whoever holds its handle.

#[path = "../support/mod.rs"]
mod support;

mod accepting;
mod callers;
mod ends;
mod life;
mod limits;
#[path = "../../layers/tests/support/lines.rs"]
mod lines;
mod messages;
mod rolling_drain;
mod stack;
mod streams;
mod tcp;
