//! What tests of the protocol share: a peer that is played by hand, the other side of it, and services.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of it"
)]

mod ends;
mod frame;
mod peer;
mod services;
mod tapped;

use std::time::Duration;

pub(crate) use self::{
    ends::{call, dial, dial_with, serve, serve_with},
    frame::{
        Frame, bind, cancel, data, goaway, hello, one_way, ping, pong, request, response, status_of,
    },
    peer::{FIRST_MARK, RawPeer, magic},
    services::{Gate, Probe, echo},
    tapped::{Tap, Tapped},
};

/// Longer than any timeout here: who waits for this long hangs. The clock is paused, so it takes no time.
pub(crate) const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The output of something that must not hang.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(FOREVER, what)
        .await
        .expect("this hangs")
}

/// Lets everybody else do all that they can do now. On a paused clock, time goes on only when nobody can.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_micros(10)).await;
}
