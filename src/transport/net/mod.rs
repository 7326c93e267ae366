//! What an endpoint is reached by, chosen by its scheme.

mod dialer;
mod listener;
mod stream;

pub use self::{dialer::NetDialer, listener::NetListener, stream::NetStream};
