//! The layers that change what travels, over real connections.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod compression;
mod contract;
#[path = "../../layers/tests/support/lines.rs"]
mod lines;
#[path = "../../layers/tests/support/sources.rs"]
mod sources;
mod trace;
mod transform;
