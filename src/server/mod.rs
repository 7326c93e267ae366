//! Serving: a loop that accepts streams and gives each a connection with a service of its own.
//!
//! # The life of a server
//!
//! ```text
//!         serve           drain            lame_duck is over        all is answered, or drain_grace is over
//!  Bound ───────▶ Serving ───────▶ LameDuck ───────────────▶ Draining ──────────────────────────────────▶ Closed
//!                    │                │ ▲                        │                                           ▲
//!   a client         │                │ │                        │                                           │
//!   that comes is    served           served                     refused, with a reason                      │
//!   one there is     served           served                     told: its calls that crossed are answered   │
//!   is_ready         true             false                      false                                       │
//!                    └────────────────┴── close, or the future of serve is dropped ──────────────────────────┘
//! ```
//!
//! * **Lame duck** is for those who learn by a health check, a balancer or a resolver: they have the time to turn
//!   away while nothing has changed yet. Without one, which is the default, a drain begins at once.
//! * **Draining** begins with the word to each client that the server stops (GOAWAY). The client begins no further
//!   call and says so; every call that it made before is answered, and the connection closed behind the last
//!   answer. Whoever still waits in the listener's queue is told as well, and whoever is in a handshake that ends within a
//!   second. So a call either ends as it would have, or was not started, and is safe to make elsewhere.
//! * **The end** has a reason: [`Stopped`]. An address can be bound again, and a service served again, at once.
//!
//! [`ServerHandle`] drives it and looks at it: [`Phase`], [`is_ready`](ServerHandle::is_ready),
//! [`reached`](ServerHandle::reached).
//!
//! # Policies
//!
//! | what | unless set | why | by |
//! |---|---|---|---|
//! | handlers of a connection | 4096; others wait | one client whose calls are stuck takes half of the places | [`Options::max_handlers`](crate::Options::max_handlers) |
//! | handlers of all connections | 8192; others wait in turn | more only take memory from those that run | [`Quota::max_handlers`](crate::conn::Quota::max_handlers) |
//! | unsent answers of all | 1 GiB; then who does not read gets no more | clients that do not read cost the others nothing | [`Quota::max_unsent`](crate::conn::Quota::max_unsent) |
//! | requests that wait for a handler, of all | 1 GiB; then who has many waiting is refused | as above | [`Quota::max_waiting`](crate::conn::Quota::max_waiting) |
//! | connections | as many as the system allows | one that does not call holds little | [`Server::max_connections`] |
//! | age of a connection | any | a good client is not sent away without need | [`Server::max_age`] |
//! | time without calls | any | as above | [`Server::max_idle`] |
//! | time of a call | what its caller has asked for | the caller knows best how long it waits | [`Server::max_call_time`] |
//! | lame duck | none | who has no health check would wait for nothing | [`Server::lame_duck`] |
//! | a drain | 30 s | longer than most calls, and as long as orchestrators wait | [`Options::drain_grace`] |
//! | the client's opening | 10 s | a stream that says nothing is no client | [`Options::handshake_timeout`] |
//! | a failed accept | a pause of 1 s | what is lacking, such as descriptors, comes back with time | |
//! | refusals under way | 256, others without a word | a flood must not cost more than this | |
//!
//! What concerns one connection is in its [`Options`]; requests that wait for their turn are
//! [bounded](Options::max_waiting) there. Admission never stops reading: answers, pings and cancels pass whatever waits.
//!
//! # The default stack
//!
//! Around the service that it is given, [`Server::serve`] puts what most want. From the outside in:
//!
//! 1. [`CatchPanicLayer`](crate::layers::CatchPanicLayer): a handler that panics fails its call, and is logged with
//!    its method;
//! 2. [`LogLayer`](crate::layers::LogLayer): a line for every call, with the caller's address;
//! 3. [`TimeoutLayer`](crate::layers::TimeoutLayer), only with a [`max_call_time`](Server::max_call_time);
//! 4. [`InheritLayer`](crate::layers::InheritLayer): calls that a handler makes have no more time than its caller has
//!    left.
//!
//! It costs a call some 45 ns while nobody listens to the log, and allocates nothing. A stack of one's own goes into
//! [`Server::serve_bare`], which adds nothing. This is the default one, to begin with:
//!
//! ```
//! use std::time::Duration;
//!
//! use steeple::{
//!     Error, Request, Response, Server,
//!     layers::{CatchPanicLayer, InheritLayer, LogLayer, PeerAndSizes, TimeoutLayer},
//! };
//! use tower::{ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let echo = service_fn(async |request: Request| {
//!     Ok::<_, Error>(Response::new(request.into_body()))
//! });
//! let service = ServiceBuilder::new()
//!     .layer(CatchPanicLayer::new())
//!     .layer(LogLayer::new().describe(PeerAndSizes))
//!     .layer(TimeoutLayer::without_default().cap(Duration::from_secs(60)))
//!     .layer(InheritLayer::new())
//!     // One limit for all connections, which share this service; others wait their turn.
//!     .concurrency_limit(100)
//!     .service(echo);
//! let server = Server::bind("tcp://127.0.0.1:0").await?;
//! # let server = server.drain_on(async {});
//! server.serve_bare(service).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Under overload
//!
//! The limits above keep a server alive; they do not keep it useful. Requests that wait for one of many handlers wait in
//! turn, and a server that is asked for more than it can do serves all of them too late. What helps is an
//! [`AdmissionLayer`](crate::layers::AdmissionLayer) directly around the handlers. It is not in the default stack, since
//! it needs a number that only you know: how many handlers run well at once, as what they share allows. (Or a range, in
//! which it finds that out.)
//!
//! ```
//! use steeple::{
//!     Error, Request, Router, Server,
//!     layers::{
//!         AdmissionLayer,
//!         admission::{Limit, Priority},
//!     },
//! };
//! use tower::Layer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let router = Router::new().route("Echo", |text: String| text);
//! let admission = AdmissionLayer::new(Limit::fixed(64)).priority(|request: &Request| {
//!     match request.metadata().get("tier").is_some_and(|tier| tier == "gold") {
//!         true => Priority::Important,
//!         false => Priority::Normal,
//!     }
//! });
//! let server = Server::bind("tcp://127.0.0.1:0").await?;
//! # let server = server.drain_on(async {});
//! server.serve(admission.layer(router)).await;
//! println!("{:?}", admission.stats());
//! # Ok(())
//! # }
//! ```
//!
//! Calls that wait in it have begun, for the connection: they count as handlers. The example `overload` measures what it
//! does.
//!
//! # Beside a server
//!
//! * Streams that come otherwise: any [`Listener`], of which [`Incoming`](crate::transport::Incoming) makes one of
//!   a `Stream`; [`also`](Server::also) adds further ones.
//! * One stream, without a listener: [`serve_connection`]. One request: [`OneByOne`](crate::conn::OneByOne).
//! * A service for each client: [`Server::serve_with`]. By who it is, where it came in, or in which turn: the first ten
//!   of a listener to one, say, and the rest to another.
//! * What happens is told under [`events::SERVER`](crate::events::SERVER).

mod accepted;
mod ages;
mod front;
mod handle;
mod house;
mod listeners;
mod registry;
mod serve;
mod stack;
mod streams;

use std::{fmt, future::Future, pin::Pin, time::Duration};

use tokio::sync::watch;

pub use self::{
    accepted::Accepted,
    handle::{Phase, ServerHandle, Stopped},
    streams::serve_connection,
};
use self::{
    ages::Ages,
    front::Slots,
    handle::{Life, Wish},
    listeners::AnyListener,
};
use crate::{
    Address, Endpoint, Error, Kind, Options,
    conn::{Excess, RpcService},
    transport::{InvalidEndpoint, Listener, NetListener, Open, Wrap, Wrapped},
    wire::{Wire, native::Native},
};

/// Accepts connections and serves them.
///
/// ```
/// use steeple::{Body, Channel, Error, Request, Response, Server};
/// use tower::{Service, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let echo = service_fn(|request: Request| async move { Ok::<_, Error>(Response::new(request.into_body())) });
/// let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(echo);
///
/// let mut channel = Channel::connect(server.address()).await?;
/// let response = channel.call(Request::new("Echo", Body::from("hello"))).await?;
/// assert_eq!(response.body().as_bytes(), "hello");
///
/// server.drain().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "a server listens, and accepts nobody until `serve`"]
pub struct Server<L = NetListener, W = Native> {
    listener: L,
    others: Vec<AnyListener>,
    wire: W,
    options: Options,
    policy: Policy,
    handle: ServerHandle,
    shutdown: Option<Shutdown>,
    life: Life,
    /// While it is there, the server has not ended.
    wishes: watch::Receiver<Wish>,
}

#[derive(Debug, Default)]
struct Policy {
    slots: Option<Slots>,
    ages: Ages,
    max_call_time: Option<Duration>,
    lame_duck: Duration,
}

/// When it is ready, the server drains.
type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Server {
    /// Listens on an endpoint, `tcp://` or `unix://`. `tcp://127.0.0.1:0` lets the system choose the port. A
    /// `tls://` endpoint needs a certificate, so its listener is made first.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if this is no endpoint, [`Kind::Unavailable`] if it cannot be listened on.
    pub async fn bind<E>(endpoint: E) -> Result<Self, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        let endpoint = endpoint.try_into().map_err(Into::into)?;
        let listener = NetListener::bind(&endpoint).await.map_err(|error| {
            Error::new(Kind::Unavailable, format!("cannot listen on {endpoint}")).with_source(error)
        })?;
        Ok(Self::new(listener))
    }

    /// Listens on an endpoint and serves there: [`bind`](Self::bind) and [`serve`](Self::serve) in one, for a
    /// server that runs until this future is dropped.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    ///
    /// # Panics
    /// As [`serve`](Self::serve).
    pub async fn run<E, S>(endpoint: E, service: S) -> Result<Stopped, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
        S: RpcService + Clone + Send + 'static,
    {
        Ok(Self::bind(endpoint).await?.serve(service).await)
    }
}

impl<L: Listener> Server<L> {
    /// Serves the streams of any listener.
    pub fn new(listener: L) -> Self {
        let (handle, life) = ServerHandle::new(listener.local_address());
        Self {
            listener,
            others: Vec::new(),
            wire: Native::default(),
            options: Options::default(),
            policy: Policy::default(),
            shutdown: None,
            life,
            wishes: handle.wishes(),
            handle,
        }
    }
}

impl<L: Listener, W: Wire + Clone> Server<L, W> {
    /// Where the server listens, with the port that the system chose.
    pub fn local_address(&self) -> &Address {
        self.handle.address()
    }

    /// By which the server is watched and stopped.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Listens there as well. All limits are of all listeners together.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use steeple::{Server, transport::TcpListener};
    ///
    /// let inside = TcpListener::bind(&"tcp://127.0.0.1:7001".parse()?).await?;
    /// let server = Server::bind("tcp://10.0.0.1:7000").await?.also(inside);
    /// # Ok(())
    /// # }
    /// ```
    pub fn also(mut self, listener: impl Listener) -> Self {
        self.handle.registry().listens(listener.local_address());
        self.others.push(AnyListener::new(listener));
        self
    }

    /// Puts `wrap` around each stream of the listener that the server was made with, before its first frame and
    /// within [`handshake_timeout`](Options::handshake_timeout). It runs in the client's own task. One that was
    /// added by [`also`](Self::also) comes wrapped, by [`Wrapped::new`].
    pub fn wrap<V>(self, wrap: V) -> Server<Wrapped<L, V>, W>
    where
        V: Wrap<<L::Io as Open>::Io>,
    {
        Server {
            listener: Wrapped::new(self.listener, wrap),
            others: self.others,
            wire: self.wire,
            options: self.options,
            policy: self.policy,
            handle: self.handle,
            shutdown: self.shutdown,
            life: self.life,
            wishes: self.wishes,
        }
    }

    /// Speaks another wire, or the native one within other limits.
    pub fn wire<V: Wire + Clone>(self, wire: V) -> Server<L, V> {
        Server {
            listener: self.listener,
            others: self.others,
            wire,
            options: self.options,
            policy: self.policy,
            handle: self.handle,
            shutdown: self.shutdown,
            life: self.life,
            wishes: self.wishes,
        }
    }

    /// Sets the options of the connections. If they have no [`quota`](Options::quota), the connections
    /// of this server share the default one: 8192 handlers, 1 GiB of requests that wait, and 1 GiB of unsent answers.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// How many connections there may be, at least 1. Default: as many as the system allows, for each costs little
    /// until it calls, and what it calls is bounded. One above the limit is told so and closed, or waits in the listener's
    /// queue.
    pub fn max_connections(mut self, connections: usize, excess: Excess) -> Self {
        self.policy.slots = Some(Slots::new(connections, excess));
        self
    }

    /// How old a connection may become before it is drained, give or take a tenth. Default: `None`, as old as may
    /// be. Clients behind a balancer of connections spread anew when they have to connect again.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.policy.ages.age = age.into();
        self
    }

    /// How long a connection may be without a call, in either direction, before it is drained, give or take a
    /// quarter. Default: `None`, for ever, since an idle connection holds little.
    pub fn max_idle(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.policy.ages.idle = time.into();
        self
    }

    /// How long a call may take at most, whatever its caller has asked for: it then fails with
    /// [`Kind::Timeout`]. Default: `None`, as long as the caller waits. It is part of the [default
    /// stack](self#the-default-stack), so without effect on a service that is served bare.
    pub fn max_call_time(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.policy.max_call_time = time.into();
        self
    }

    /// For how long a server that is to drain goes on as before, but says that it is [not
    /// ready](ServerHandle::is_ready). Default: 0. Behind a balancer that learns by a health check, it should be
    /// a little longer than the balancer takes, so that no client is sent to a server that is gone.
    pub fn lame_duck(mut self, time: Duration) -> Self {
        self.policy.lame_duck = time;
        self
    }

    /// Drains when `signal` is ready, as [`ServerHandle::drain`] does.
    ///
    /// ```no_run
    /// # async fn example(service: steeple::conn::Unserved) -> Result<(), steeple::Error> {
    /// let server = steeple::Server::bind("tcp://127.0.0.1:7000").await?;
    /// let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    /// server.drain_on(interrupted).serve(service).await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain_on(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = Some(Box::pin(signal));
        self
    }
}

impl<L: fmt::Debug, W: fmt::Debug> fmt::Debug for Server<L, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .field("others", &self.others)
            .field("wire", &self.wire)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
