//! Streams, and how frames travel over them.

#[cfg(feature = "codec")]
pub mod framed;
