//! Making connections.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tower_service::Service;

use super::{Channel, census::Census};
use crate::{
    Address, BoxError, Endpoint, Error, Kind, Options, Stats,
    conn::{Builder, RpcService, Unserved},
    events,
    transport::{Dial, InvalidEndpoint, Io, NetDialer, Open, Opened, Refused, Wrap, Wrapped},
    wire::{Reason, Role, Wire, native::Native},
};

/// Makes a [`Channel`] of an [`Endpoint`]: a tower `Service`, so that layers can wrap dialling.
///
/// The connection may be called at once, before the server has opened its direction. Whoever wants to know that
/// it has asks [`handshaken`](Channel::handshaken).
///
/// ```no_run
/// use std::time::Duration;
/// use steeple::{Client, Connector, Error, Options};
/// use tower::ServiceBuilder;
///
/// # async fn example() -> Result<(), Error> {
/// let connector = Connector::new()
///     .dial_timeout(Duration::from_secs(1))
///     .options(Options::new().max_pending(100));
/// let channel = connector.connect("tcp://127.0.0.1:7000").await?;
///
/// // All the connections of a client, at most two of them being made at a time.
/// let connector = ServiceBuilder::new().concurrency_limit(2).service(connector);
/// let client = Client::builder().connector(connector).connect("tcp://127.0.0.1:7000").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a connector does nothing unless it is called"]
pub struct Connector<D = NetDialer, S = Unserved, W = Native> {
    dialer: D,
    service: S,
    wire: W,
    options: Options,
    dial_timeout: Duration,
    pub(super) census: Census,
}

/// A connection that is being made. Dropping it ends the dial.
#[must_use = "a dial does nothing unless it is polled"]
pub struct Connecting(Pin<Box<dyn Future<Output = Result<Channel, Error>> + Send>>);

impl Connector {
    /// Dials what a [`NetDialer`] dials within 10 s, speaks the native wire and serves nothing.
    pub fn new() -> Self {
        Self {
            dialer: NetDialer::new(),
            service: Unserved,
            wire: Native::default(),
            options: Options::default(),
            dial_timeout: Duration::from_secs(10),
            census: Census::default(),
        }
    }
}

impl<D, S, W> Connector<D, S, W> {
    /// Dials by another service.
    pub fn dialer<E: Dial>(self, dialer: E) -> Connector<E, S, W> {
        Connector {
            dialer,
            service: self.service,
            wire: self.wire,
            options: self.options,
            dial_timeout: self.dial_timeout,
            census: self.census,
        }
    }

    /// Puts `wrap` around each stream that is dialled, before its first frame and within the
    /// [`dial_timeout`](Self::dial_timeout).
    pub fn wrap<V>(self, wrap: V) -> Connector<Wrapped<D, V>, S, W>
    where
        D: Dial,
        V: Wrap<<D::Io as Open>::Io>,
    {
        Connector {
            dialer: Wrapped::new(self.dialer, wrap),
            service: self.service,
            wire: self.wire,
            options: self.options,
            dial_timeout: self.dial_timeout,
            census: self.census,
        }
    }

    /// Serves the calls that servers make to this client. Each connection has its own clone.
    pub fn serve<T>(self, service: T) -> Connector<D, T, W> {
        Connector {
            dialer: self.dialer,
            service,
            wire: self.wire,
            options: self.options,
            dial_timeout: self.dial_timeout,
            census: self.census,
        }
    }

    /// Speaks another wire, or the native one within other limits.
    pub fn wire<V>(self, wire: V) -> Connector<D, S, V> {
        Connector {
            dialer: self.dialer,
            service: self.service,
            wire,
            options: self.options,
            dial_timeout: self.dial_timeout,
            census: self.census,
        }
    }

    /// Sets the options of the connections.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// How long a dial may take: names, all addresses, and what is done before the first frame. Default: 10 s. A dialler that is not ready
    /// is waited for before that.
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial_timeout = timeout;
        self
    }

    /// What all connections of this connector and its clones have counted, those that are over too, and the
    /// [`dials`](Stats::dials).
    pub fn stats(&self) -> Stats {
        self.census.stats()
    }
}

impl<D, S, W> Connector<D, S, W>
where
    Self: Service<Endpoint, Response = Channel, Error = Error> + Clone,
{
    /// Dials an endpoint: the service's readiness and call in one, on a clone.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if this is no endpoint, [`Kind::Unreachable`] if the dial fails.
    pub fn connect<E>(
        &self,
        endpoint: E,
    ) -> impl Future<Output = Result<Channel, Error>> + use<E, D, S, W>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        // A clone, and not a reference: that may go to another thread only if the services are `Sync`.
        let mut connector = self.clone();
        async move {
            let endpoint = endpoint.try_into().map_err(Into::into)?;
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(endpoint).await
        }
    }
}

impl<D, S, W> Connector<D, S, W>
where
    S: RpcService + Clone + Send + 'static,
    W: Wire + Clone,
{
    /// Makes a channel of a stream that is already there, and spawns the task of its connection.
    ///
    /// # Panics
    /// If called outside of a tokio runtime.
    pub fn connect_io(&self, io: impl Io, address: impl Into<Option<Address>>) -> Channel {
        let builder = self.builder().address(address);
        let channel = self.spawn(builder, io);
        self.census.enter(&channel);
        channel
    }

    fn builder(&self) -> Builder<W> {
        Builder::new(Role::Dialer)
            .wire(self.wire.clone())
            .options(self.options.clone())
    }

    fn spawn(&self, builder: Builder<W>, io: impl Io) -> Channel {
        let (peer, connection) = builder.build(io, self.service.clone());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(target: events::CLIENT, %error, "a connection was lost");
            }
        });
        Channel::new(peer)
    }

    /// Makes a channel of a stream that is ready.
    fn connected<I: Io>(&self, opened: Opened<I>) -> Channel {
        let builder = self
            .builder()
            .address(opened.address)
            .extensions(opened.extensions);
        self.spawn(builder, opened.io)
    }

    /// Tells a server whose stream this side would not have, if a word was left for it.
    fn tell(&self, error: BoxError) -> BoxError {
        match error.downcast::<Refused>() {
            Ok(refused) => {
                let text = refused.to_string();
                let refusal =
                    self.builder()
                        .refuse(refused.into_io(), Reason::Refused, text.clone());
                // It takes a second at most, and always fails, with the text.
                tokio::spawn(async move { drop(refusal.await) });
                text.into()
            }
            Err(error) => error,
        }
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl<D, S, W> Service<Endpoint> for Connector<D, S, W>
where
    D: Dial,
    S: RpcService + Clone + Send + 'static,
    W: Wire + Clone,
    Self: Clone,
{
    type Response = Channel;
    type Error = Error;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let unready = |error: D::Error| {
            Error::new(Kind::Unreachable, "the dialler is not ready").with_source(error)
        };
        self.dialer.poll_ready(cx).map_err(unready)
    }

    fn call(&mut self, endpoint: Endpoint) -> Connecting {
        let name = endpoint.to_string();
        let dial = self.dialer.call(endpoint.clone());
        let dial = async move {
            let (io, address) = dial.await.map_err(Into::into)?;
            io.open(address, Some(endpoint)).await
        };
        // The dialler of the clone is never called, so it need not be ready.
        let connector = self.clone();
        Connecting(Box::pin(async move {
            let timeout = connector.dial_timeout;
            let dialled = match tokio::time::timeout(timeout, dial).await {
                Ok(Ok(dialled)) => Ok(dialled),
                Ok(Err(error)) => Err(Error::new(
                    Kind::Unreachable,
                    format!("cannot reach {name}"),
                )
                .with_source(connector.tell(error))),
                Err(elapsed) => {
                    let text = format!("cannot reach {name} within dial_timeout of {timeout:?}");
                    Err(Error::new(Kind::Unreachable, text).with_source(elapsed))
                }
            };
            let connected = dialled.map(|opened| {
                tracing::debug!(target: events::CLIENT, address = %opened.address, "dialled");
                connector.connected(opened)
            });
            connector.census.dialled(&connected);
            connected.inspect_err(|error| {
                tracing::debug!(target: events::CLIENT, %error, "a dial failed");
            })
        }))
    }
}

impl Future for Connecting {
    type Output = Result<Channel, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}
