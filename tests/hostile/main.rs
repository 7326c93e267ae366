//! Peers that mean harm: each gets a clear answer or the door, and nobody else notices.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod floods;
mod garbage;
mod hoards;
mod memory;
mod town;
