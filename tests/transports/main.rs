//! Transports: what holds over each of them, and what each of them does by itself.

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod beneath;
mod bombs;
mod certificates;
mod compressed;
mod conformance;
mod counted;
mod dialing;
mod handshakes;
mod incoming;
mod on_the_wire;
mod tls;
#[cfg(unix)]
mod unix;
mod world;
mod wrapping;
