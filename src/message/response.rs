//! The answer to a call that succeeded.

use http::Extensions;

use super::{Body, Metadata};

/// A successful answer: [`Metadata`], extensions and a body. Failures are [`Error`](crate::Error)s.
#[derive(Clone, Debug, Default)]
pub struct Response<B = Body> {
    metadata: Metadata,
    extensions: Extensions,
    body: B,
}

impl<B> Response<B> {
    /// A response with nothing but a body.
    pub fn new(body: B) -> Self {
        Self {
            metadata: Metadata::new(),
            extensions: Extensions::new(),
            body,
        }
    }

    /// What travels with the response: short names and values.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// What layers of this process leave for each other; it does not travel.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The extensions, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// The body.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// The body, to be changed.
    pub fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// The body alone.
    pub fn into_body(self) -> B {
        self.body
    }

    /// The same response with another body.
    pub fn map<C>(self, f: impl FnOnce(B) -> C) -> Response<C> {
        Response {
            metadata: self.metadata,
            extensions: self.extensions,
            body: f(self.body),
        }
    }
}
