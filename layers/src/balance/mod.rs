//! Balancing.

mod consistent_hash;
mod future;
mod in_turn;
mod layer;
mod p2c;
mod permutation;
mod pick;
mod reconnect;
mod stateful;

pub use self::{
    consistent_hash::ConsistentHash,
    future::BalanceFuture,
    in_turn::{RoundRobin, WeightedRoundRobin},
    layer::{Balance, BalanceLayer},
    p2c::{LeastOfTwo, LeastPending, PeakEwma, Random},
    permutation::Permutation,
    pick::{Choice, Pick, PickFn, pick_fn},
    reconnect::{Only, Reconnect, ReconnectLayer},
    stateful::{Balancer, Stateful},
};
