//! The native wire, seen from outside: an encoder, a decoder, and the bytes between.

mod assembly;
mod bulk;
mod compressed;
mod golden;
mod hostile;
mod methods;
mod properties;
#[path = "../support/specification.rs"]
mod specification;
mod support;
