//! Each layer by what it does, over a service that plays a script. Time is paused.

mod admission;
mod breaker;
mod catch_panic;
mod coalesce;
mod contract;
mod drain;
mod explain;
mod fallback;
mod fault;
mod hedge;
mod http;
mod inherit;
#[path = "../support/lines.rs"]
mod lines;
mod log;
mod policies;
mod rate_limit;
mod retry;
#[path = "../support/sources.rs"]
mod sources;
mod support;
mod timeout;
