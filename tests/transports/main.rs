//! Transports: what holds over each of them, and what each of them does by itself.

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod certificates;
mod compressed;
mod conformance;
mod dialing;
mod handshakes;
mod tls;
#[cfg(unix)]
mod unix;
mod world;
mod wrapping;
