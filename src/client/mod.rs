//! Calling: a [`Connector`] makes connections, a [`Channel`] is one.

mod channel;
mod connector;

pub use self::{
    channel::Channel,
    connector::{Connecting, Connector},
};
