//! Endpoints that are kept connected: what balancers choose from.
//!
//! [`Replicas`] are made of a [resolver](crate::resolve), which says where the endpoints are, and a connector,
//! which dials one and answers with a connection that is [`Lifecycle`](crate::Lifecycle). They live whether or
//! not calls flow, and tell those who call by an immutable snapshot.
//!
//! ```text
//!   resolver ──► control: one task a set ── starts, ends
//!                                 │
//!                                 ▼
//!   connector ──► endpoint: one task each ── dial, handshake, ping, backoff, drain, health
//!                                 │ changes of state
//!                                 ▼
//!                               table ──► snapshot ◄── one atomic read a call ── Balance, Changes, Replica
//! ```
//!
//! The path of a call takes no lock, sends no message and wakes no task.
//!
//! # The life of an endpoint
//!
//! ```text
//!            listed                                       too many failed dials
//!               │                          ┌────────────────────────────────────► given up
//!               ▼         dial failed, lost, silent
//!  ┌──────► connecting ──────────────────► waiting
//!  │ call     │  ▲ ▲                       │  ▲
//!  │  handshake  │ └──── backoff is over ──┘  │ lost, or drained by the server
//!  │          ▼  └──────────────────────┐     │
//! idle ◄──── live ──────────────────────┼─────┘
//!   no calls  │ ▲ ▲ ▲                   │ new connection: health is forgotten
//!             │ │ │ └── probe succeeds ─┼──── probing ◄─┐
//!             │ │ │                     │        │ fails │ its time is over
//!             │ │ └─ listed again       │        ▼       │
//!             │ │         │             └───── ejected ──┘
//!             │ │         │                       ▲
//!             │ │         │       calls fail      │
//!             ├─┼─────────┼───────────────────────┘
//!             │ │         │
//!             ▼ │         │
//!      not listed: draining ── calls under way have ended ──► gone
//! ```
//!
//! A state is that of the best of an endpoint's connections. Only a live endpoint is called, and one that is
//! probing once. One that is live but whose health check fails is *unhealthy*, and not called until it passes. [`Replicas::endpoints`] tells the state of each at any time, since when, and why; the same goes
//! to `tracing` under the target `steeple::replicas`.
//!
//! # Waits between dials
//!
//! They grow by the backoff from one failed dial to the next. They begin anew after a connection that lasted longer than
//! the longest wait, and not as soon as bytes have flowed on one, as elsewhere: a server that accepts, answers a little
//! and dies, over and over, would be dialled in a hot loop. Nor does a call that finds no connection begin another dial:
//! the endpoint's task alone decides when.
//!
//! # Who is called
//!
//! Of the live endpoints a snapshot has
//!
//! 1. those whose [health check](Builder::health_check) passes – or all, if none does;
//! 2. of these those that are not [ejected](Ejection) – or all, if fewer than half would be left;
//! 3. of these the first tier, by [priority](crate::resolve::Target::with_priority), and the next ones as long as
//!    [too few](Builder::tier_share) can be called;
//! 4. of these the own [zone](Builder::zone), as long as [enough](Builder::zone_share) of it can be called.
//!
//! So a picker sees only those that a call may go to, in every attempt. [How another attempt goes
//! elsewhere](crate::balance) is its affair; where there is no other, a retry meets the same again, and
//! [a hedge does not begin](crate::hedge).
//!
//! An endpoint that is removed, or not needed any more, is first taken out of the snapshot. Who has an older
//! one may still call it; only when no call is under way is its gate shut, and who comes after that goes to
//! another. So no call fails for an endpoint that comes or goes.
//!
//! # Defaults
//!
//! | what | default | set by |
//! |---|---|---|
//! | connections to an endpoint | 1, at once | [`Builder::connections`], [`Builder::lazy`] |
//! | a handshake | 10 s | [`Builder::handshake_timeout`] |
//! | the wait before another dial | 10 ms growing to 1 s, half of it by chance | [`Builder::backoff`], [`Builder::dial_limit`] |
//! | ejection | after 5 failures in a row, for 5 s growing to 300 s, of at most half | [`Builder::ejection`] |
//! | what a failure counts as | a second | [`Builder::failure_penalty`] |
//! | a slow call is forgotten | to a third every 10 s | [`Builder::latency_memory`] |
//! | a lower tier | when nobody of the higher can be called | [`Builder::tier_share`] |
//! | pings, health checks, idle timeout, slow start, zone | none | [`Builder`] |

mod builder;
mod caught;
mod changes;
mod check;
mod control;
mod endpoint;
mod gate;
mod latency;
mod link;
mod member;
mod options;
mod replica;
mod set;
mod shared;
mod snapshot;
mod stats;
mod status;
mod table;

pub use self::{
    builder::Builder,
    changes::Changes,
    check::{HealthCheck, Ping, Probe},
    member::Member,
    options::Ejection,
    replica::{Replica, ReplicaFuture},
    set::Replicas,
    status::{State, Status},
};
pub(crate) use self::{
    replica::Admitted, set::Demand, snapshot::Snapshot, stats::Elsewhere, table::refused,
};
