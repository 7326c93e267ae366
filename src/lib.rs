//! RPC as a stack of tower services.

pub mod message;
pub mod transport;
pub mod wire;

pub use steeple_layers::{
    Application, AsError, BoxError, Carry, Context, Error, Execution, Kind, Method, Origin, Replay,
};

pub use self::message::{Body, Encoding, Extensions, Metadata, Request, Response};
