//! What a connection says and does, frame by frame: one side is the library, the other is played by hand.

#[path = "../support/mod.rs"]
mod support;

mod bulk;
mod calls;
mod cancel;
mod capabilities;
mod conformance;
mod deadlines;
mod drain;
mod duplex;
mod ends;
mod handlers;
mod handshake;
mod lesser;
mod liveness;
mod one_way;
mod overload;
mod pending;
mod roles;
mod scripted;
mod streams;
mod turns;
