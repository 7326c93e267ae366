//! A handler with the way it is run.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use steeple_layers::explain::name_of;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    future::RouteFuture,
    handler::Function,
    pace::{Pace, THRESHOLD},
};
use crate::{Error, Request, Response, RpcService};

/// A handler, how it is run, and the layers around it alone: what [`Router::route`](super::Router::route) takes.
///
/// Made by the methods of [`Handler`](super::Handler).
#[must_use = "a route does nothing until it is given to a router"]
pub struct Route<S = ()> {
    make: Arc<Make<S>>,
    conduct: Conduct,
    layers: Vec<AnyLayer>,
}

/// The service of one route: what a layer is put around.
///
/// It is always ready. A service that was given to the router, and what a layer made, is cloned for each call
/// and waited for in its future.
#[derive(Clone)]
pub struct RouteService(Target);

#[derive(Clone)]
pub(super) enum Target {
    Handler(Arc<Leaf>),
    Service(Arc<dyn AnyService>),
}

/// A layer for any route.
#[derive(Clone)]
pub(super) struct AnyLayer {
    pub(super) name: Name,
    layer: Arc<dyn Fn(RouteService) -> RouteService + Send + Sync>,
}

/// What a layer is called, for who asks.
pub(super) type Name = fn() -> String;

/// Gives a handler its state.
type Make<S> = dyn Fn(&S, Conduct) -> Arc<Leaf> + Send + Sync;

/// How a handler is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Conduct {
    pub(super) run: Run,
    pub(super) ordered: bool,
}

/// Where a handler is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Run {
    /// Where its request comes in, unless it has been slow.
    #[default]
    InPlace,
    /// In a task.
    Spawned,
    /// On a thread that may block.
    Blocking,
}

/// A handler that knows its state, with its conduct.
#[derive(Debug)]
pub(super) struct Leaf<E: ?Sized = dyn Endpoint> {
    pub(super) conduct: Conduct,
    pub(super) pace: Pace,
    /// Calls that have a thread that may block, or are in the queue for one.
    pub(super) threads: Arc<Semaphore>,
    pub(super) endpoint: E,
}

/// A handler that knows its state.
pub(super) trait Endpoint: Send + Sync {
    /// Finds the arguments and calls the function. What is left of the request is of no use.
    fn start(&self, request: &mut Request) -> Started;
}

/// A service that was given to the router, or what a layer made.
pub(super) trait AnyService: Send + Sync {
    /// Lets a clone answer, when it is ready.
    fn answer(&self, request: Request) -> Answering;
}

/// What a function that was called has come to.
#[expect(missing_debug_implementations, reason = "it is hidden")]
pub enum Started {
    /// To its end.
    Done(Result<Response, Error>),
    /// To a future.
    Later(Answering),
}

pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

/// The most calls of a blocking route that have a thread, or a place in tokio's queue for one, which is not bounded.
/// A call that is given up leaves its place empty, of about 200 bytes, until a thread comes by: where all are stuck,
/// callers that give up and call again would fill the memory.
pub(super) const MAX_BLOCKING: usize = 65_536;

/// A function and its state.
struct Bound<F, M, S> {
    function: Arc<F>,
    state: S,
    kind: PhantomData<fn() -> M>,
}

impl Conduct {
    /// The usual one.
    pub(super) const IN_PLACE: Self = Self {
        run: Run::InPlace,
        ordered: false,
    };
}

impl<S> Route<S> {
    pub(super) fn new<F, M>(function: F) -> Self
    where
        F: Function<M, S>,
        M: 'static,
        S: Clone + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        let make = move |state: &S, conduct| -> Arc<Leaf> {
            Arc::new(Leaf {
                conduct,
                pace: Pace::new(THRESHOLD),
                threads: Arc::new(Semaphore::new(MAX_BLOCKING)),
                endpoint: Bound {
                    function: function.clone(),
                    state: state.clone(),
                    kind: PhantomData,
                },
            })
        };
        Self {
            make: Arc::new(make),
            conduct: Conduct::default(),
            layers: Vec::new(),
        }
    }

    /// Always gives the handler a task of its own, and never polls it where its request comes in: for one that
    /// is known to compute for long between two `await`s. It costs about half a microsecond.
    pub fn spawned(mut self) -> Self {
        self.conduct.run = Run::Spawned;
        self
    }

    /// Runs the handler on tokio's threads for code that blocks, so that it may wait for a disk or a lock, or
    /// compute for long. Meant for plain functions; an `async` one keeps its thread while it awaits.
    ///
    /// There are at most 512 such threads unless the runtime is built with another number. Further calls wait for
    /// one. They count as handlers, of which a connection has at most [4096](crate::Options::max_handlers) and a server
    /// [8192](crate::conn::Quota::max_handlers) unless told otherwise, so that the rest waits with its connections, in bounds; and of one route at most 65 536 wait, beyond
    /// which calls are refused. A call that is cancelled before its handler has begun never begins; one that has begun
    /// runs to its end, and nobody hears of it.
    pub fn blocking(mut self) -> Self {
        self.conduct.run = Run::Blocking;
        self
    }

    /// Runs the ordered calls of one connection one after the other, in the order of their arrival: those of this
    /// route and of all others that are ordered. Other calls overtake them.
    ///
    /// A call whose handler does not end holds up those behind it, until its deadline or until it is cancelled.
    /// Calls that were not made over a connection have no order.
    pub fn ordered(mut self) -> Self {
        self.conduct.ordered = true;
        self
    }

    /// Puts a layer around this route alone. The one that is added last is the outermost.
    ///
    /// Whatever the policy of the route, the layer's own code runs where the request comes in.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<RouteService> + Send + Sync + 'static,
        L::Service: RpcService + Clone + Send + Sync + 'static,
    {
        self.layers.push(AnyLayer::new(layer));
        self
    }

    pub(super) fn bind(&self, state: &S) -> RouteService {
        let leaf = RouteService(Target::Handler((self.make)(state, self.conduct)));
        let layers = self.layers.iter();
        layers.fold(leaf, |inner, layer| layer.around(inner))
    }

    /// What its layers are called, the outermost last.
    pub(super) fn layer_names(&self) -> Vec<Name> {
        self.layers.iter().map(|layer| layer.name).collect()
    }
}

impl RouteService {
    pub(super) fn new<T>(service: T) -> Self
    where
        T: RpcService + Clone + Send + Sync + 'static,
    {
        Self(Target::Service(Arc::new(service)))
    }

    #[inline(always)]
    pub(super) fn start(&self, request: Request) -> RouteFuture {
        RouteFuture::new(&self.0, request)
    }
}

impl Service<Request> for RouteService {
    type Response = Response;
    type Error = Error;
    type Future = RouteFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> RouteFuture {
        self.start(request)
    }
}

impl AnyLayer {
    pub(super) fn new<L>(layer: L) -> Self
    where
        L: Layer<RouteService> + Send + Sync + 'static,
        L::Service: RpcService + Clone + Send + Sync + 'static,
    {
        Self {
            name: name_of::<L::Service>,
            layer: Arc::new(move |inner| RouteService::new(layer.layer(inner))),
        }
    }

    pub(super) fn around(&self, inner: RouteService) -> RouteService {
        (self.layer)(inner)
    }
}

impl<F, M, S> Endpoint for Bound<F, M, S>
where
    F: Function<M, S>,
    S: Send + Sync,
{
    fn start(&self, request: &mut Request) -> Started {
        self.function.start(request, &self.state)
    }
}

impl<T> AnyService for T
where
    T: RpcService + Clone + Send + Sync + 'static,
{
    fn answer(&self, request: Request) -> Answering {
        Box::pin(self.clone().map_err(Into::into).oneshot(request))
    }
}

impl<S> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self {
            make: self.make.clone(),
            conduct: self.conduct,
            layers: self.layers.clone(),
        }
    }
}

impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("conduct", &self.conduct)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RouteService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Handler(leaf) => f.debug_tuple("Handler").field(&leaf.conduct).finish(),
            Target::Service(_) => f.write_str("Service"),
        }
    }
}
