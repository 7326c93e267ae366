//! What a service is given and what it answers.

mod body;
mod compression;
mod metadata;
mod request;
mod response;

pub use http::Extensions;

pub use self::{
    body::{Body, Encoding},
    compression::BodyCompression,
    metadata::{Metadata, MetadataIter},
    request::Request,
    response::Response,
};
