//! What replica sets and balanced calls promise, over endpoints that a test holds in its hand.

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod checks;
mod churn;
mod events;
mod health;
mod lifecycle;
#[path = "../support/lines.rs"]
mod lines;
mod logs;
mod own_balancer;
mod panics;
mod pickers;
mod reconnect;
mod resolvers;
mod resolving;
mod retries;
mod shares;
mod tower_balance;
mod zones;
