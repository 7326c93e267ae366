//! Each layer by what it does, over a service that plays a script. Time is paused.

mod admission;
mod catch_panic;
mod contract;
mod fault;
mod http;
mod inherit;
mod log;
mod rate_limit;
mod retry;
mod support;
mod timeout;
