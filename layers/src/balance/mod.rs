//! The replica of each call.
//!
//! [`BalanceLayer`] makes a service of [`Replicas`](crate::replicas::Replicas) by a [`Pick`]. There is no worker
//! and no buffer: each clone looks at the newest snapshot, picks, and calls its own handle of the replica.
//!
//! ```
//! use std::fmt::Display;
//!
//! use steeple_layers::{
//!     BoxError, Error, Lifecycle,
//!     balance::{Balance, BalanceLayer, PeakEwma},
//!     replicas::Replicas,
//!     resolve::Fixed,
//! };
//! use tower::{Layer, Service};
//!
//! /// A client of two servers, of whatever connections.
//! fn client<C, E>(connector: C) -> Result<Balance<E, PeakEwma>, Error>
//! where
//!     C: Service<&'static str, Response = E, Error: Into<BoxError>, Future: Send>,
//!     C: Clone + Send + Sync + 'static,
//!     E: Lifecycle + Clone,
//! {
//!     let resolver = Fixed::new(["tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000"])?;
//!     let replicas = Replicas::new(resolver, connector);
//!     Ok(BalanceLayer::new(PeakEwma::default()).layer(replicas))
//! }
//! ```
//!
//! # Pickers
//!
//! | picker | a call goes to | another attempt goes to |
//! |---|---|---|
//! | [`PeakEwma`], the default | the better of two by latency × pending calls | the better of two others |
//! | [`LeastOfTwo`] | the better of two by pending calls | the better of two others |
//! | [`LeastPending`] | the best of all by pending calls | the best of all others |
//! | [`Random`] | any | another |
//! | [`RoundRobin`] | the next | the one after |
//! | [`WeightedRoundRobin`] | the next, as often as its weight says | the one after |
//! | [`ConsistentHash`] | that of its [shard key](crate::Context::shard_key), unless overloaded | the next for that key |
//! | [`pick_fn`] | whatever a function says | that too |
//! | [`Stateful`] | whatever a [`Balancer`] with a state says | that too |
//!
//! "Another" is one that no attempt of the call came to before, as long as there is such a one; the last two rows are as
//! the function and the balancer have it, by [`Member::was_tried`](crate::replicas::Member::was_tried). The layers that
//! repeat calls see where an attempt goes, and tell the next one in its [`Context`](crate::Context): no picker
//! remembers calls. They see it through all layers between, except one that polls its calls in tasks of its own. Then,
//! and if others repeat calls, there is the order in which a call tries replicas: a [`Permutation`] that follows from its
//! [seed](crate::Context::seed), of which each attempt takes its own part. It takes one seed for all attempts, and their
//! number in each; and pickers that compare two need two for each attempt to find another one by it.
//!
//! Chance comes from `fastrand`, which a test can seed.
//!
//! Some things are no pickers but settings of the replicas, since they concern who is there at all: health checks,
//! ejection, zones and tiers in [`Builder`](crate::replicas::Builder), and [`Subset`](crate::resolve::Subset). Each goes
//! with every picker.
//!
//! # Weights and slow start
//!
//! How much of the calls a replica should have is its [weight](crate::resolve::Target::with_weight), and in its
//! [slow start](crate::replicas::Builder::slow_start) a part of that, which grows: its share.
//!
//! | picker | and the shares |
//! |---|---|
//! | [`PeakEwma`], [`LeastOfTwo`] | draw the two by share, and one may be drawn twice: a replica that should have a quarter of the calls has a sixteenth at least, and seven sixteenths at most. Between two that differ, latency decides, and pending calls by share |
//! | [`LeastPending`] | compares the pending calls by share; among equals, as where nothing is pending, it goes by share |
//! | [`WeightedRoundRobin`] | goes by share, exactly |
//! | [`ConsistentHash`] | has by share of the keys; those that a slow start takes from others move one by one, for each client at its own time |
//! | [`Random`], [`RoundRobin`] | know no shares |
//! | [`pick_fn`], [`Stateful`] | see [`Member::weight`](crate::replicas::Member::weight) and [`Member::warmth`](crate::replicas::Member::warmth) |
//!
//! As long as all shares are the same, nothing of this costs anything. Else a call looks at every replica, a few nanoseconds
//! each.
//!
//! # Other balancers
//!
//! Whatever is a `Layer<Replicas<S>>` can take the place of `BalanceLayer`;
//! [`Replicas::replicas`](crate::replicas::Replicas::replicas) and
//! [`Replicas::changes`](crate::replicas::Replicas::changes) give it the replicas, each a service that counts its
//! calls. The changes are a `Discover` of services with `Load`, so tower's `p2c::Balance` works over them.

mod consistent_hash;
mod future;
mod in_turn;
mod layer;
mod line;
mod p2c;
mod permutation;
mod pick;
mod reconnect;
mod stateful;
mod waiting;

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
