//! Method name → handler.
//!
//! ```
//! use std::{collections::BTreeMap, sync::{Arc, Mutex}};
//!
//! use steeple::{Error, Peer, Router, router::{Handler, State}};
//!
//! /// What the handlers share, with each other and with the program.
//! type Counts = Arc<Mutex<BTreeMap<String, u64>>>;
//!
//! // The last argument is the value that the call carries, and what is returned is the answer.
//! async fn multiply((a, b): (i64, i64)) -> Result<i64, Error> {
//!     a.checked_mul(b).ok_or_else(|| Error::application(1, "the product is too large"))
//! }
//!
//! // Before it stand arguments of all other kinds. A plain function is as good.
//! fn count(State(counts): State<Counts>, word: String) -> u64 {
//!     let mut counts = counts.lock().unwrap();
//!     let count = counts.entry(word).or_default();
//!     *count += 1;
//!     *count
//! }
//!
//! let counts = Counts::default();
//! let router: Router = Router::new()
//!     .route("Count", count)
//!     .nest("Arith", Router::new().route("Multiply", multiply))
//!     .route("Hash", (|text: String| text.len()).blocking())
//!     .with_state(counts.clone());
//! # async fn serve(router: Router) -> Result<(), Error> {
//! steeple::Server::bind("tcp://127.0.0.1:7000").await?.serve(router).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Handlers
//!
//! A [`Handler`] is a plain or an `async` function, or a closure, that takes up to eight arguments:
//!
//! | argument | is |
//! |---|---|
//! | [`Peer`](crate::Peer) | the other end of the connection, to be called back; it keeps [values](crate::Peer::values) |
//! | [`Address`](crate::Address) | what the transport calls the other end |
//! | [`Metadata`](crate::Metadata), [`Method`](crate::Method), [`Context`](crate::Context) | what came with the call |
//! | [`Deadline`] | when the caller stops waiting |
//! | [`AnyCodec`](crate::codec::AnyCodec) | the codec that the caller chose |
//! | [`State<T>`] | what [`with_state`](Router::with_state) gave the router, or [a part](FromRef) of it |
//! | [`Extension<T>`] | what a layer left with the request, or the connection was given |
//! | one of your own | whatever is [`FromRequestParts`] |
//! | as the last: any `DeserializeOwned` | the value in the body |
//! | as the last: [`Request`], [`Body`](crate::Body) | the call, or the body, as it came |
//!
//! Several values are one tuple or one struct. A handler that asks for no value is called whatever the body is.
//! What is returned is [`IntoResponse`]: nothing, a value, or a `Result`.
//!
//! ```
//! # use steeple::{Address, Error, Metadata, Peer, Request, Response, Router, router::{Deadline, Reply}};
//! # #[derive(serde::Deserialize, serde::Serialize)] struct Args; #[derive(serde::Serialize)] struct User;
//! # #[derive(Debug)] struct NotFound; impl From<NotFound> for Error { fn from(_: NotFound) -> Self { Self::application(1, "not found") } }
//! async fn nothing() {}
//! async fn value(args: Args) -> u64 { 1 }
//! async fn own_value(args: Args) -> Reply<User> { Reply(User) }
//! async fn only_fails(args: Args) -> Result<(), Error> { Ok(()) }
//! async fn own_error(id: u64) -> Result<User, NotFound> { Err(NotFound) }
//! async fn with_caller(caller: Address, args: Args) -> Result<User, Error> { Ok(User) }
//! async fn calls_back(peer: Peer, metadata: Metadata, deadline: Deadline) {}
//! async fn raw(request: Request) -> Result<Response, Error> { Ok(Response::default()) }
//! fn plain(args: Args) -> Result<u64, Error> { Ok(1) }
//! # let _: Router = Router::new().route("a", nothing).route("b", value).route("c", own_value).route("d", only_fails)
//! #     .route("e", own_error).route("f", with_caller).route("g", calls_back).route("h", raw).route("i", plain);
//! ```
//!
//! **Errors.** A handler fails with anything that is `Into<Error>`: [`Error`] itself, or an enum of one's own with
//! `impl From<MyError> for Error`, which says what its [kind](Kind) is – mostly
//! [`Error::application`]. So does a [`BoxError`](crate::BoxError), to which `?` turns any error: it is
//! [internal](Kind::Internal), its text goes to the caller, and an [`Error`] in it stays what it was. Whatever a
//! handler fails with, its caller is told that it [was executed](Execution::Executed).
//!
//! An error with more to say has a value of its own for details, which the caller
//! [decodes](crate::ErrorExt::decode_details):
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use steeple::{Error, ErrorExt, codec::AnyCodec};
//!
//! #[derive(Serialize, Deserialize)]
//! struct OutOfStock {
//!     left: u32,
//! }
//!
//! async fn buy(codec: AnyCodec, count: u32) -> Result<(), Error> {
//!     let details = OutOfStock { left: 3 };
//!     Err(Error::application(7, "out of stock").encode_details(&codec, &details)?)
//! }
//!
//! # async fn example(mut client: steeple::Client) -> Result<(), Error> {
//! match client.call::<()>("Buy", &8u32).await {
//!     Err(error) => match error.decode_details::<OutOfStock>() {
//!         Some(Ok(OutOfStock { left })) => println!("{left} are left"),
//!         _ => return Err(error),
//!     },
//!     Ok(()) => println!("it is yours"),
//! }
//! # Ok(())
//! # }
//! # let _: steeple::Router = steeple::Router::new().route("Buy", buy);
//! ```
//!
//! # What a caller is told
//!
//! | | kind | execution |
//! |---|---|---|
//! | there is no such method | [`Unimplemented`](Kind::Unimplemented) | not started |
//! | the body is not the argument of the handler | [`Invalid`](Kind::Invalid) | not started |
//! | an extractor fails | its own | not started |
//! | the handler fails | its own | executed |
//! | what it returns cannot be encoded | [`Invalid`](Kind::Invalid) | executed |
//! | the handler panics | [`Internal`](Kind::Internal), by the connection | maybe executed |
//!
//! The connection lives on. What is returned to a message that nobody waits for is dropped, and
//! [counted](crate::Stats::one_way_answers).
//!
//! Values are decoded and encoded by the codec that the caller chose, if its feature is on. Text and bytes pass
//! it raw, as [`encode`](crate::codec::encode) tells.
//!
//! # Where a handler runs
//!
//! | policy | where | for |
//! |---|---|---|
//! | none | where its request comes in, until its first pending `await`; then in a task | almost all |
//! | [`spawned`](Handler::spawned) | in a task | what is known to compute for long |
//! | [`blocking`](Handler::blocking) | on a thread that may block | plain functions that wait for a disk, a lock or a library |
//! | [`ordered`](Handler::ordered), beside any of these | as these, one at a time for each connection | changes whose order matters |
//!
//! A function that is run in place is called by the router's own `call`, and what an `async` one does begins with the
//! first poll. All others are called when they are polled.
//!
//! To run in place costs no task, and is what makes small calls cheap; but while it runs no other request of its
//! connection is looked at. So polls in place are timed, the first of every route and then one in 61, and a route that is
//! seen to take more than 20 µs is given tasks from then on, until 64 polls in a row were fast. That
//! does not help against a handler that blocks its thread for ever: it takes its connection with it the first
//! time, and a thread of the runtime each time after. Give such a handler [`blocking`](Handler::blocking).
//!
//! # Layers
//!
//! A router is a tower service, and so is each route in it: layers go around the one or the other.
//!
//! * `ServiceBuilder::new().layer(A).layer(B).service(router)`: `A` is the **outermost**, and sees a call
//!   first. It sees calls of unknown methods too.
//! * `router.layer(A).layer(B)` and `handler.layer(A).layer(B)`: `B`, which is added **last**, is the outermost.
//!
//! What a layer sets up for as long as a handler runs, as a `tracing` span, it enters in `call` and in `poll`: a plain
//! function that runs in place has run when `call` returns.
//!
//! A layer around a router is cheapest. One around routes costs a clone of its service and an allocation for each
//! call; without one a call costs one allocation if its handler is `async` and none if it is plain.

/// Calls a macro for each number of arguments from one to eight: those before the last, and the last.
macro_rules! for_each_arity {
    ($name:ident) => {
        $name!(; T1);
        $name!(T1; T2);
        $name!(T1 T2; T3);
        $name!(T1 T2 T3; T4);
        $name!(T1 T2 T3 T4; T5);
        $name!(T1 T2 T3 T4 T5; T6);
        $name!(T1 T2 T3 T4 T5 T6; T7);
        $name!(T1 T2 T3 T4 T5 T6 T7; T8);
    };
}

mod coding;
mod extract;
mod extractors;
mod future;
mod handler;
mod name;
mod pace;
mod response;
mod route;
mod routes;
mod turns;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use steeple_layers::explain::{Explain, Explanation};
use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    extract::{FromRequest, FromRequestParts},
    extractors::{Deadline, Extension, FromRef, State},
    future::RouteFuture,
    handler::Handler,
    response::{Encoder, IntoResponse, Payload, Reply},
    route::{Route, RouteService},
};
use self::{
    name::SEPARATOR,
    route::AnyLayer,
    routes::{Entry, Routes},
};
use crate::{Error, Execution, Kind, Request, Response, RpcService};

/// Finds the handler of a call by the name of its method.
///
/// Cheap to clone, and complete: what is added to a clone is not in the others. The type `S` is that of the
/// [`State`] that its handlers wait for; a router that waits for none is a tower service.
#[must_use = "a router does nothing until it is served"]
pub struct Router<S = ()>(Arc<Routes<S>>);

/// The service of one handler, whatever the method that is called: a server of one function.
///
/// ```
/// # async fn serve() -> Result<(), steeple::Error> {
/// let server = steeple::Server::bind("tcp://127.0.0.1:7000").await?;
/// server.serve(steeple::router::service(|text: String| text.to_uppercase())).await;
/// # Ok(())
/// # }
/// ```
pub fn service<H, M>(handler: H) -> RouteService
where
    H: Handler<M, ()>,
{
    handler.into_route().bind(&())
}

impl<S> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// A router that knows no method. A server does not take it before it has a route.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Answers calls of the method `name` by `handler`.
    ///
    /// # Panics
    /// If there is a route of this name, or it is none: empty, longer than 255 bytes, with a space, a control
    /// character or an empty part between dots.
    #[track_caller]
    pub fn route<H, M>(self, name: &str, handler: H) -> Self
    where
        H: Handler<M, S>,
    {
        let mut routes = self.into_routes();
        routes.add(name.to_owned(), Entry::of(handler.into_route()));
        routes.into()
    }

    /// Answers calls of the method `name` by any tower service. Its errors are passed on as they are: it says
    /// itself how far a call got.
    ///
    /// # Panics
    /// As [`route`](Self::route).
    #[track_caller]
    pub fn route_service<T>(self, name: &str, service: T) -> Self
    where
        T: RpcService + Clone + Send + Sync + 'static,
    {
        let mut routes = self.into_routes();
        routes.add(name.to_owned(), Entry::service(RouteService::new(service)));
        routes.into()
    }

    /// Adds the routes of `router`, with `prefix` and a dot before their names. Handlers see the whole name.
    ///
    /// # Panics
    /// As [`route`](Self::route); and if `router` has no routes, or has a fallback, which would be asked for names
    /// outside of the prefix too.
    #[track_caller]
    pub fn nest(self, prefix: &str, router: Self) -> Self {
        let (mut routes, nested) = (self.into_routes(), router.into_filled_routes());
        let has_fallback = nested.has_fallback();
        assert!(
            !has_fallback,
            "the router nested at {prefix:?} has a fallback"
        );
        routes.extend(&format!("{prefix}{SEPARATOR}"), nested);
        routes.into()
    }

    /// Adds the routes and the fallback of `router`.
    ///
    /// # Panics
    /// If a name is in both, if both have a fallback, or if `router` is empty.
    #[track_caller]
    pub fn merge(self, router: Self) -> Self {
        let mut routes = self.into_routes();
        routes.extend("", router.into_filled_routes());
        routes.into()
    }

    /// Answers calls of all other methods, and those without a name, by `handler`. Without it they are
    /// [unimplemented](Kind::Unimplemented).
    ///
    /// # Panics
    /// If there is a fallback.
    #[track_caller]
    pub fn fallback<H, M>(self, handler: H) -> Self
    where
        H: Handler<M, S>,
    {
        let mut routes = self.into_routes();
        routes.set_fallback(Entry::of(handler.into_route()));
        routes.into()
    }

    /// As [`fallback`](Self::fallback), by any tower service.
    ///
    /// # Panics
    /// If there is a fallback.
    #[track_caller]
    pub fn fallback_service<T>(self, service: T) -> Self
    where
        T: RpcService + Clone + Send + Sync + 'static,
    {
        let mut routes = self.into_routes();
        routes.set_fallback(Entry::service(RouteService::new(service)));
        routes.into()
    }

    /// Puts a layer around each route there is, and around the fallback; not around what is added later, nor
    /// around the answer to unknown methods. The one that is added last is the outermost.
    ///
    /// # Panics
    /// If there is nothing to put it around.
    #[track_caller]
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<RouteService> + Send + Sync + 'static,
        L::Service: RpcService + Clone + Send + Sync + 'static,
    {
        let layer = AnyLayer::new(layer);
        let routes = self.into_filled_routes();
        routes.map(|entry| entry.layer(layer.clone())).into()
    }

    /// Gives the handlers their [`State`]. The router that comes of it is a service; or it goes on, with handlers
    /// of another state.
    ///
    /// # Panics
    /// If there is nothing to give it to.
    #[track_caller]
    pub fn with_state<T>(self, state: S) -> Router<T> {
        let routes = self.into_filled_routes();
        routes.map(|entry| entry.with_state(&state)).into()
    }

    fn into_routes(self) -> Routes<S> {
        Arc::unwrap_or_clone(self.0)
    }

    #[track_caller]
    fn into_filled_routes(self) -> Routes<S> {
        let routes = self.into_routes();
        assert!(!routes.is_empty(), "the router is empty");
        routes
    }
}

impl Service<Request> for Router {
    type Response = Response;
    type Error = Error;
    type Future = RouteFuture;

    /// Always ready; one without a route, never.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // A server asks before it serves: whatever making the layers on routes comes to, comes then.
        Poll::Ready(match self.0.table() {
            Some(_) => Ok(()),
            None => Err(Error::new(Kind::Unimplemented, "the router is empty")
                .with_execution(Execution::NotStarted)),
        })
    }

    fn call(&mut self, request: Request) -> RouteFuture {
        let method = request.method().as_str();
        match self.0.find(method) {
            Some(route) => route.start(request),
            None => {
                let error = Error::new(
                    Kind::Unimplemented,
                    format!("there is no method {method:?}"),
                );
                RouteFuture::failed(error.with_execution(Execution::NotStarted))
            }
        }
    }
}

impl<S> From<Routes<S>> for Router<S> {
    fn from(routes: Routes<S>) -> Self {
        Self(Arc::new(routes))
    }
}

impl<S> Default for Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Clone for Router<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The end of a server's stack. The layers on routes are told by the names of their types.
impl<S> Explain for Router<S> {
    fn explain(&self, out: &mut Explanation) {
        let part = out.part("Router");
        part.count(self.0.names().count(), "route");
        if self.0.has_fallback() {
            part.setting("a fallback");
        }
        for (layers, routes) in self.0.layers() {
            let (layers, routes) = (layers.join(" over "), routes.join(", "));
            part.setting(format_args!("{layers} over {routes}"));
        }
    }
}

/// Prints the names of the routes.
impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.names().collect();
        f.debug_struct("Router")
            .field("routes", &names)
            .field("has_fallback", &self.0.has_fallback())
            .finish()
    }
}
