//! The vocabulary and the policies of [steeple](https://docs.rs/steeple), generic over any tower `Service`.
//!
//! A layer that times calls out, repeats or balances them has to know a few things about a request and
//! about a failure, and nothing about connections or bytes. This crate holds just those things, and lies
//! *below* the crate with the connections, so the compiler proves that no policy reaches into one:
//!
//! | a layer asks | by |
//! |---|---|
//! | which method, until when, which attempt? | [`Context`], carried by a request that is [`Carry`] |
//! | may I send it again? | [`Replay`] and [`Execution`] |
//! | what went wrong, where, and did it run? | [`Error`], found in any service's error by [`AsError`] |
//!
//! Users depend on `steeple` and find all of this re-exported there.

pub mod catch_panic;
pub mod fault;
pub mod inherit;
pub mod log;
pub mod retry;
#[cfg(feature = "test")]
pub mod test;
pub mod timeout;

mod backoff;
mod carry;
mod context;
mod error;
mod method;
mod timer;

pub use self::{
    backoff::Backoff,
    carry::{Carry, Replay},
    catch_panic::CatchPanicLayer,
    context::Context,
    error::{Application, AsError, BoxError, Error, Execution, Kind, Origin},
    fault::FaultLayer,
    inherit::InheritLayer,
    log::LogLayer,
    method::Method,
    retry::{RetryLayer, RetryPolicy},
    timeout::TimeoutLayer,
};
