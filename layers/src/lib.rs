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
//! | is the connection there, and idle? | [`Lifecycle`] |
//!
//! And the policies that stand on it:
//!
//! | module | is |
//! |---|---|
//! | [`balance`] | the replica of each call: the layer and its pickers |
//! | [`replicas`] | endpoints that are kept connected |
//! | [`resolve`] | where they are |
//! | [`explain`] | what a stack does, told by the stack itself, with warnings of known mistakes |
//!
//! On that stand the layers:
//!
//! | layer | what it does | side | usual place | costs a call |
//! |---|---|---|---|---|
//! | [`CatchPanicLayer`] | a panic fails its call and is logged | server | outermost | 6 ns |
//! | [`LogLayer`] | a line for every call | both | outermost but for that | 10 ns while nobody listens |
//! | [`PolicyLayer`] | what holds for each method | both | outside of what obeys it | 13 ns with two patterns |
//! | [`TimeoutLayer`] | deadlines: a default, a cap, a limit for each attempt | both | outside of retries; for attempts, inside | 87 ns: a clock read, which others share, and a timer from a pool if the call waits |
//! | [`InheritLayer`] | calls made in a handler end with it | server | inside of timeouts | 9 ns |
//! | [`AdmissionLayer`] | so many calls at once, and under overload the newest first; others are refused at once | server | directly around the handlers | 45 ns: a lock when it begins and when it ends |
//! | [`RateLimitLayer`] | so many calls in so long, of all or of each key | both | on a server outside of what it protects; on a client inside of retries | 62 ns: a clock read and a lock; by key 74 ns |
//! | [`DrainLayer`] | refuses calls from a moment on, and tells when the others have ended | both | outside of what is to drain | 21 ns: a counter |
//! | [`RetryLayer`] | tries again what is safe and useful | client | inside of timeouts | 38 ns: a copy of the request, whose body is shared |
//! | [`HedgeLayer`] | makes slow calls once more, elsewhere; the first answer wins | client | inside of retries, outside of the balancer | 160 ns: what retries cost, a clock read, and a timer from a pool if the call waits; with a percentile 200 ns |
//! | [`BreakerLayer`] | refuses calls while too many fail | client | on each endpoint; or inside of retries | 22 ns: a reference count; where circuits have names, 57 ns, with a look into a map |
//! | [`BalanceLayer`] | the replica of each call | client | innermost, over [`Replicas`] | what the picker costs, a ticket, and one more clock read where replicas are compared: measured with the stack, see BENCHMARKS.md |
//! | [`ReconnectLayer`] | makes of a connector a service that keeps one connection to one endpoint | client | innermost, around a connector | as a balancer over a set of one |
//! | [`OpaqueLayer`](explain::OpaqueLayer) | shows a layer from elsewhere where a stack is [explained](explain) | both | around that layer | nothing |
//! | [`FallbackLayer`] | answers in place of a service that fails | client | outside of retries | 10 ns: a copy of the context; to another service, of the request |
//! | [`CoalesceLayer`] | callers who ask the same at the same time share one call | both | outside of retries | 275 ns: five allocations, a lock and a map |
//! | [`FaultLayer`] | delays, fails, loses and repeats calls on purpose | both | innermost | an allocation; it is for tests |
//!
//! The costs are those of one call that is pending once and succeeds, over a service that does nothing, on one thread of one
//! machine (`cargo bench -p steeple-micro -- layer`): read them as ratios. Where many threads call at once, a lock, a counter
//! and a reference count that they share cost more. None but the last two makes an allocation for such a call while nobody
//! listens to the log, which a test counts. With the feature `test` there is a `probe` that tells whether a layer of your
//! own keeps the contract that these keep.
//!
//! Users depend on `steeple` and find all of this re-exported there.

pub mod admission;
pub mod balance;
pub mod breaker;
pub mod catch_panic;
pub mod coalesce;
pub mod drain;
pub mod explain;
pub mod fallback;
pub mod fault;
pub mod hedge;
pub mod inherit;
pub mod log;
pub mod policies;
pub mod rate_limit;
pub mod replicas;
pub mod resolve;
pub mod retry;
#[cfg(feature = "test")]
pub mod test;
pub mod timeout;

mod backoff;
mod called;
mod carry;
mod context;
mod decided;
mod error;
mod gated;
mod idempotent;
mod lifecycle;
mod method;
mod mix;
#[doc(hidden)]
pub mod moment;
mod outcome;
mod priority;
mod spare;
mod timer;
mod tried;

pub use self::{
    admission::AdmissionLayer,
    backoff::Backoff,
    balance::{BalanceLayer, ReconnectLayer},
    breaker::{BreakerLayer, BreakerPolicy},
    carry::{Carry, Replay},
    catch_panic::CatchPanicLayer,
    coalesce::CoalesceLayer,
    context::Context,
    drain::DrainLayer,
    error::{Application, AsError, BoxError, Error, Execution, Kind, Origin},
    fallback::FallbackLayer,
    fault::FaultLayer,
    hedge::HedgeLayer,
    inherit::InheritLayer,
    lifecycle::Lifecycle,
    log::LogLayer,
    method::Method,
    policies::PolicyLayer,
    priority::Priority,
    rate_limit::RateLimitLayer,
    replicas::Replicas,
    retry::{RetryLayer, RetryPolicy},
    timeout::TimeoutLayer,
};
