//! What replica sets and balanced calls promise, over endpoints that a test holds in its hand.

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod checks;
mod churn;
mod health;
mod lifecycle;
mod panics;
mod pickers;
mod resolvers;
mod resolving;
mod retries;
mod tower_balance;
mod zones;
