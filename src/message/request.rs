//! A call on its way to a handler.

use std::{sync::Arc, time::Duration};

use http::Extensions;
use steeple_layers::{Carry, Context, Method, Replay};

use super::{Body, Encoding, Metadata};

/// A call: its [`Context`], [`Metadata`], extensions and body.
///
/// ```
/// use steeple::{Body, Request};
///
/// let request = Request::new("Echo", Body::from("hello"));
/// assert_eq!(request.method(), "Echo");
/// ```
#[derive(Clone, Debug)]
pub struct Request<B = Body> {
    cx: Context,
    metadata: Metadata,
    extensions: Extensions,
    connection: Option<Arc<Extensions>>,
    encoding: Encoding,
    body: B,
}

impl<B> Request<B> {
    /// A request for `method`, with nothing but a body.
    pub fn new(method: impl Into<Method>, body: B) -> Self {
        Self::from_context(Context::new(method), body)
    }

    /// A request with a context that is already made.
    pub fn from_context(cx: Context, body: B) -> Self {
        Self {
            cx,
            metadata: Metadata::new(),
            extensions: Extensions::new(),
            connection: None,
            encoding: Encoding::RAW,
            body,
        }
    }

    /// The same request, whose caller waits no longer than `timeout` from the [start](Context::start) of the
    /// call: from now, unless a layer has asked for it before.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steeple::Request;
    ///
    /// let request = Request::new("Echo", "hello").with_timeout(Duration::from_secs(2));
    /// assert!(request.cx().deadline().is_some());
    /// ```
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.cx.set_timeout(timeout);
        self
    }

    /// What policy knows of the call: its deadline, its attempt, whether it is idempotent or one-way.
    pub fn cx(&self) -> &Context {
        &self.cx
    }

    /// The context, to be changed.
    pub fn cx_mut(&mut self) -> &mut Context {
        &mut self.cx
    }

    /// The method called.
    pub fn method(&self) -> &Method {
        self.cx.method()
    }

    /// What travels with the request: short names and values.
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

    /// What is known of the connection that the request came in on, such as the peer's handle and its
    /// address; `None` for a request that was made here.
    pub fn connection(&self) -> Option<&Extensions> {
        self.connection.as_deref()
    }

    /// Says on which connection the request came in. The connection does this; tests may.
    pub fn set_connection(&mut self, connection: Arc<Extensions>) -> &mut Self {
        self.connection = Some(connection);
        self
    }

    /// The encoding in which answers that are not raw are to come: it is bound with the method. Unless
    /// [set](Self::set_encoding), it is that of the body.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Sets the encoding in which the answer is to come.
    pub fn set_encoding(&mut self, encoding: Encoding) -> &mut Self {
        self.encoding = encoding;
        self
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

    /// The same request with another body.
    pub fn map<C>(self, f: impl FnOnce(B) -> C) -> Request<C> {
        Request {
            cx: self.cx,
            metadata: self.metadata,
            extensions: self.extensions,
            connection: self.connection,
            encoding: self.encoding,
            body: f(self.body),
        }
    }
}

impl<B> Carry for Request<B> {
    fn cx(&self) -> &Context {
        self.cx()
    }

    fn cx_mut(&mut self) -> &mut Context {
        self.cx_mut()
    }
}

/// The body and the metadata are shared, so a replay costs a few reference counts.
///
/// It has the extensions, too: a layer above that left something there left it for every attempt. They are the
/// one part that is copied, value by value; where there are none, nothing is.
impl Replay for Request<Body> {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compilers copy so much in place, and call a function to copy more.
    #[test]
    fn a_request_is_two_cache_lines() {
        assert!(size_of::<Request>() <= 128);
    }
}
