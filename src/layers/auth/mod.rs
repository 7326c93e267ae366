//! Who calls, and whether they may.
//!
//! On a server, [`AuthLayer`] puts each request to a function, before its handler starts. The function sees what came
//! with the request, the metadata, and what is known of the connection: the
//! [address](crate::Address), and over mutual TLS the certificate of the caller, its `PeerCertificate`. What it finds
//! out it leaves in the [extensions](crate::Request::extensions_mut), where handlers find it. [`AsyncAuthLayer`] is the
//! same for a function that has to ask somebody.
//!
//! On a client, [`BearerLayer`] adds a token to each call, and gets another one in time. Whatever else is to be added
//! is a line of tower's: `map_request(|mut request: Request| …)`.
//!
//! ```
//! use steeple::{
//!     Channel, Error, Kind, Request, Response, Server,
//!     layers::{AuthLayer, BearerLayer, auth::{Token, bearer}},
//! };
//! use tower::{Service, ServiceBuilder, service_fn};
//!
//! /// Who calls.
//! #[derive(Clone)]
//! struct User(&'static str);
//!
//! fn authenticate(request: &mut Request) -> Result<(), Error> {
//!     let user = match bearer(request) {
//!         Some("sesame") => User("Ali"),
//!         Some(_) => return Err(Error::new(Kind::Unauthenticated, "this token is not known")),
//!         None => return Err(Error::new(Kind::Unauthenticated, "a token is needed")),
//!     };
//!     if request.method() == "Shutdown" {
//!         return Err(Error::new(Kind::PermissionDenied, "only the owner may do this"));
//!     }
//!     request.extensions_mut().insert(user);
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let service = ServiceBuilder::new()
//!     .layer(AuthLayer::new(authenticate))
//!     .service(service_fn(async |request: Request| {
//!         let User(name) = request.extensions().get().expect("no one else comes in");
//!         Ok::<_, Error>(Response::new(format!("open, {name}").into()))
//!     }));
//! let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(service);
//! # let handle = server;
//! let channel = Channel::connect(handle.address()).await?;
//!
//! let mut client = ServiceBuilder::new()
//!     .layer(BearerLayer::new(|| async { Ok::<_, Error>(Token::new("sesame")) }))
//!     .service(channel.clone());
//! let answer = client.call(Request::new("Open", "".into())).await?;
//! assert_eq!(answer.body().as_bytes(), "open, Ali");
//! let error = client.call(Request::new("Shutdown", "".into())).await.unwrap_err();
//! assert_eq!(error.kind(), Kind::PermissionDenied);
//!
//! let error = channel.clone().call(Request::new("Open", "".into())).await.unwrap_err();
//! assert_eq!(error.to_string(), "a token is needed");
//! # handle.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! By certificate, and by address:
//!
//! ```
//! # #[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
//! # fn example() {
//! use steeple::{Address, Error, Kind, Request, layers::AuthLayer, transport::PeerCertificate};
//!
//! let layer = AuthLayer::new(|request: &mut Request| {
//!     let address = request.connection().and_then(|connection| connection.get::<Address>());
//!     let is_local = address.is_some_and(|address| address.to_string().starts_with("unix:"));
//!     let id = PeerCertificate::of(request).and_then(PeerCertificate::spiffe_id);
//!     match id {
//!         Some("spiffe://example/billing") => Ok(()),
//!         _ if is_local => Ok(()),
//!         Some(_) => Err(Error::new(Kind::PermissionDenied, "this is for billing")),
//!         None => Err(Error::new(Kind::Unauthenticated, "a certificate is needed")),
//!     }
//! });
//! # let _ = layer;
//! # }
//! ```

mod ask;
mod bearer;
mod check;
mod token;

pub use self::{
    ask::{AskFuture, AsyncAuth, AsyncAuthLayer},
    bearer::{Bearer, BearerFuture, BearerLayer},
    check::{Auth, AuthFuture, AuthLayer},
    token::Token,
};
use crate::Request;

/// The name of the metadata that a token travels in.
pub const AUTHORIZATION: &str = "authorization";

/// How the value begins.
const BEARER: &str = "Bearer ";

/// The token that a [`BearerLayer`] on the other side has added, or whoever writes
/// `authorization: Bearer <token>`.
pub fn bearer<B>(request: &Request<B>) -> Option<&str> {
    request
        .metadata()
        .get_str(AUTHORIZATION)?
        .strip_prefix(BEARER)
}
