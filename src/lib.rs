//! RPC as a stack of tower services.

pub mod codec;
pub mod message;
pub mod wire;

pub use steeple_layers::{
    Application, AsError, BoxError, Carry, Context, Error, Execution, Kind, Method, Origin, Replay,
};

pub use self::{
    codec::{Codec, ErrorExt},
    message::{Body, Encoding, Extensions, Metadata, Request, Response},
};
