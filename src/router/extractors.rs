//! The arguments of handlers that are found beside the body.

use tokio::time::Instant;

use super::{Encoder, FromRequestParts, coding::no_codec, extract::short_name};
use crate::{Address, Context, Error, Kind, Metadata, Method, Peer, Request, codec::AnyCodec};

/// A clone of what the router [was given](super::Router::with_state), or of a part of it.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use steeple::{Router, router::State};
///
/// async fn next(State(last): State<Arc<AtomicU64>>) -> u64 {
///     last.fetch_add(1, Ordering::Relaxed)
/// }
///
/// // The program keeps its own handle of it.
/// let last = Arc::new(AtomicU64::new(1));
/// let router: Router = Router::new().route("Next", next).with_state(last.clone());
/// last.store(1000, Ordering::Relaxed);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct State<T>(pub T);

/// A part of a router's state, as a handler asks for it by [`State`]. The whole is one too.
pub trait FromRef<S> {
    /// The part of `state`.
    fn from_ref(state: &S) -> Self;
}

/// A clone of what a layer left in the [extensions](Request::extensions) of the request, or else of what the
/// [connection](Request::connection) was given by [`Builder::extension`](crate::conn::Builder::extension).
///
/// Without it the handler does not run, and the call is answered with [`Kind::Internal`]: the layer is
/// missing. An `Option<Extension<T>>` is `None` then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extension<T>(pub T);

/// When the caller stops waiting, if ever. The handler is dropped then; this is for those who can make do
/// with less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline(pub Option<Instant>);

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

impl<T: FromRef<S>, S> FromRequestParts<S> for State<T> {
    fn from_request_parts(_: &Request, state: &S) -> Result<Self, Error> {
        Ok(Self(T::from_ref(state)))
    }
}

impl<T, S> FromRequestParts<S> for Extension<T>
where
    T: Clone + Send + Sync + 'static,
{
    fn from_request_parts(request: &Request, state: &S) -> Result<Self, Error> {
        Option::from_request_parts(request, state)?.ok_or_else(|| {
            let text = format!("no layer has left the extension `{}`", short_name::<T>());
            Error::new(Kind::Internal, text)
        })
    }
}

impl<T, S> FromRequestParts<S> for Option<Extension<T>>
where
    T: Clone + Send + Sync + 'static,
{
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        let of_connection = || request.connection()?.get::<T>();
        let value = request.extensions().get().or_else(of_connection);
        Ok(value.cloned().map(Extension))
    }
}

/// The other end of the connection, to be called back.
impl<S> FromRequestParts<S> for Peer {
    fn from_request_parts(request: &Request, state: &S) -> Result<Self, Error> {
        Option::from_request_parts(request, state)?
            .ok_or_else(|| Error::new(Kind::Internal, "the request came in on no connection"))
    }
}

impl<S> FromRequestParts<S> for Option<Peer> {
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        Ok(Peer::of(request).cloned())
    }
}

/// What the transport calls the other end of the connection.
impl<S> FromRequestParts<S> for Address {
    fn from_request_parts(request: &Request, state: &S) -> Result<Self, Error> {
        Option::from_request_parts(request, state)?
            .ok_or_else(|| Error::new(Kind::Internal, "the peer has no address"))
    }
}

impl<S> FromRequestParts<S> for Option<Address> {
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        let address = || request.connection()?.get();
        Ok(address().cloned())
    }
}

/// The name by which the handler was called, with the prefixes of all routers it is nested in.
impl<S> FromRequestParts<S> for Method {
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        Ok(request.method().clone())
    }
}

/// All metadata; a copy, so that a type of one's own that picks out what it needs is cheaper.
impl<S> FromRequestParts<S> for Metadata {
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        Ok(request.metadata().clone())
    }
}

/// What policy knows of the call.
impl<S> FromRequestParts<S> for Context {
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        Ok(request.cx().clone())
    }
}

impl<S> FromRequestParts<S> for Deadline {
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        Ok(Self(request.cx().deadline()))
    }
}

/// The codec that the caller chose: for [details of an error](crate::ErrorExt::encode_details), and for what else
/// a handler encodes itself.
impl<S> FromRequestParts<S> for AnyCodec {
    fn from_request_parts(request: &Request, state: &S) -> Result<Self, Error> {
        Option::from_request_parts(request, state)?
            .ok_or_else(|| no_codec(Encoder::of(request).encoding(), "the answer"))
    }
}

/// `None` if the caller speaks raw bytes only, or an encoding that this build has no codec for.
impl<S> FromRequestParts<S> for Option<AnyCodec> {
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        Ok(AnyCodec::of(Encoder::of(request).encoding()))
    }
}
