//! Endpoints that are kept connected.

mod builder;
mod changes;
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
    member::Member,
    options::{Backoff, Ejection},
    replica::{Replica, ReplicaFuture},
    set::Replicas,
    status::{State, Status},
};
pub(crate) use self::{set::refused, snapshot::Snapshot};
