//! The native wire.
