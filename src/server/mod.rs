//! Serving: a loop that accepts streams and gives each a connection with a service of its own.

mod handle;
mod registry;

use std::time::Duration;

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

pub use self::handle::ServerHandle;
use self::{handle::Wish, registry::Registry};
use crate::{
    Address, Endpoint, Error, Kind, Options,
    conn::{Builder, RpcService},
    transport::{InvalidEndpoint, Io, Listener, TcpListener},
    wire::{Role, Wire, native::Native},
};

/// Accepts connections and serves them.
///
/// ```
/// use steeple::{Body, Channel, Error, Request, Response, Server};
/// use tower::{Service, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let server = Server::bind("tcp://127.0.0.1:0").await?;
/// let handle = server.handle();
/// let serving = tokio::spawn(server.serve(service_fn(async |request: Request| {
///     Ok::<_, Error>(Response::new(request.into_body()))
/// })));
///
/// let mut channel = Channel::connect(handle.address()).await?;
/// let response = channel.call(Request::new("Echo", Body::from("hello"))).await?;
/// assert_eq!(response.body().as_bytes(), "hello");
///
/// handle.drain().await;
/// serving.await.expect("the server does not panic");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a server listens, and accepts nobody until `serve`"]
pub struct Server<L = TcpListener, W = Native> {
    listener: L,
    wire: W,
    options: Options,
    handle: ServerHandle,
    /// While it is there, the server has not ended.
    wishes: watch::Receiver<Wish>,
}

/// How long accepting pauses after an error. Most are about a lack of something, such as file descriptors,
/// that only time and ending connections give back.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

impl Server {
    /// Listens on an endpoint. `tcp://127.0.0.1:0` lets the system choose the port.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if this is no endpoint, [`Kind::Unavailable`] if it cannot be listened on.
    pub async fn bind<E>(endpoint: E) -> Result<Self, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        let endpoint = endpoint.try_into().map_err(Into::into)?;
        let listener = TcpListener::bind(&endpoint).await.map_err(|error| {
            Error::new(Kind::Unavailable, format!("cannot listen on {endpoint}")).with_source(error)
        })?;
        Ok(Self::new(listener))
    }
}

impl<L: Listener> Server<L> {
    /// Serves the streams of any listener.
    pub fn new(listener: L) -> Self {
        let handle = ServerHandle::new(listener.local_address());
        Self {
            listener,
            wire: Native::default(),
            options: Options::default(),
            wishes: handle.wishes(),
            handle,
        }
    }
}

impl<L: Listener, W: Wire + Clone> Server<L, W> {
    /// Speaks another wire, or the native one within other limits.
    pub fn wire<V: Wire + Clone>(self, wire: V) -> Server<L, V> {
        Server {
            listener: self.listener,
            wire,
            options: self.options,
            handle: self.handle,
            wishes: self.wishes,
        }
    }

    /// Sets the options of the connections.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Where the server listens, with the port that the system chose.
    pub fn local_address(&self) -> &Address {
        self.handle.address()
    }

    /// By which the server is watched and stopped.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until the server is drained or closed by its [handle](Self::handle). Each connection has its own
    /// clone of `service`.
    ///
    /// An accept that fails is logged and counted, and accepting goes on after a second. Dropping the future
    /// ends all connections at once.
    pub async fn serve<S>(mut self, service: S)
    where
        S: RpcService + Clone + Send + 'static,
    {
        let mut connections = JoinSet::new();
        let mut paused_until = Instant::now();
        let mut done = loop {
            tokio::select! {
                biased;
                wish = more_than(Wish::Serve, &mut self.wishes) => break wish,
                Some(_) = connections.join_next() => {}
                accepted = accept(&mut self.listener, paused_until) => match accepted {
                    Ok((io, address)) => {
                        self.handle.registry().accepted(true);
                        let serving = self.connection(io, address, service.clone());
                        connections.spawn(serving);
                    }
                    Err(error) => {
                        self.handle.registry().accepted(false);
                        tracing::error!(target: "steeple::server", %error, "an accept failed");
                        paused_until = Instant::now() + ACCEPT_PAUSE;
                    }
                },
            }
        };
        // No client waits in the queue of a listener that is gone.
        drop(self.listener);
        self.handle.registry().stop(done);
        loop {
            tokio::select! {
                biased;
                wish = more_than(done, &mut self.wishes) => {
                    done = wish;
                    self.handle.registry().stop(done);
                }
                ended = connections.join_next() => if ended.is_none() { break },
            }
        }
    }

    /// Serves one stream.
    fn connection<I, S>(
        &self,
        io: I,
        address: Address,
        service: S,
    ) -> impl Future<Output = ()> + Send + use<I, S, L, W>
    where
        I: Io,
        S: RpcService + Send + 'static,
    {
        let (peer, connection) = Builder::new(Role::Acceptor)
            .wire(self.wire.clone())
            .options(self.options.clone())
            .address(address.clone())
            .build(io, service);
        let entry = Registry::enter(self.handle.registry(), peer, self.wishes.clone());
        async move {
            if let Err(error) = connection.await {
                tracing::debug!(target: "steeple::server", %address, %error, "a connection was lost");
            }
            drop(entry);
        }
    }
}

async fn accept<L: Listener>(
    listener: &mut L,
    paused_until: Instant,
) -> std::io::Result<(L::Io, Address)> {
    sleep_until(paused_until).await;
    listener.accept().await
}

/// Waits until more is wanted than what is done.
async fn more_than(done: Wish, wishes: &mut watch::Receiver<Wish>) -> Wish {
    let wish = wishes.wait_for(|wish| *wish > done).await;
    // The server's own handle can want, so there is always somebody who can.
    wish.map_or(Wish::Close, |wish| *wish)
}
