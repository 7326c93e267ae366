//! What a connection can serve.

use tower_service::Service;

use crate::{Body, Error, Request, Response};

/// A tower [`Service`] from [`Request`] to [`Response`]: what a server serves, and a client to its servers.
///
/// Implemented for every service that fits; nothing else can implement it. Its error is anything that an
/// [`Error`] can be made of, so a boxed one or `Infallible` will do.
///
/// Of functions `tower::service_fn` makes one: of an `async fn`, or of a closure `|request| async move { … }`. With
/// `async |request| { … }`, compilers of today may crash when they build incrementally, over any such trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served",
    label = "not a service from `steeple::Request` to `steeple::Response`",
    note = "it is a `tower::Service<Request>` with `Response = Response` whose future is `Send + 'static`",
    note = "its error is `Into<steeple::Error>`: put `map_err` around a service with an error of its own"
)]
pub trait RpcService:
    Service<Request<Body>, Response = Response<Body>, Error: Into<Error>, Future: Send + 'static>
{
}

impl<S> RpcService for S
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
}
