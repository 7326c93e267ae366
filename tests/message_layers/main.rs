//! The layers that change what travels, over real connections.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod compression;
mod trace;
mod transform;
