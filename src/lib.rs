//! RPC as a stack of tower services.

pub mod client;
pub mod codec;
pub mod conn;
pub mod message;
pub mod server;
pub mod transport;
pub mod wire;

pub use steeple_layers::{
    Application, AsError, BoxError, Carry, Context, Error, Execution, Kind, Method, Origin, Replay,
};

pub use self::{
    client::Channel,
    codec::{Codec, ErrorExt},
    conn::{Connection, Options, Overflow, Peer, ResponseFuture, Stats},
    message::{Body, Encoding, Extensions, Metadata, Request, Response},
    server::{Server, ServerHandle},
    transport::{Address, Endpoint},
};
