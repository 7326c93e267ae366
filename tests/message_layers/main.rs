//! The layers that change what travels, over real connections.

#[path = "../support/mod.rs"]
mod support;

mod compression;
mod trace;
mod transform;
