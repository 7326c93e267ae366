//! The settings of a client with the default stack.

use std::{fmt, time::Duration};

use steeple_layers::{BoxError, Replicas, RetryPolicy, replicas::Builder, resolve::Fixed};
use tower_service::Service;

use super::{
    Channel, Client, Connector, DefaultStack, Endpoints,
    census::{Census, Counted},
    stack::Settings,
};
use crate::{Codec, Endpoint, Error, codec::DefaultCodec, transport::InvalidEndpoint};

/// Makes a [`Client`] with the [`DefaultStack`].
///
/// ```no_run
/// use std::time::Duration;
/// use steeple::{Client, Connector, Error, Options, codec::Json};
///
/// # async fn example(router: steeple::conn::Unserved) -> Result<(), Error> {
/// let client = Client::builder()
///     .codec(Json)
///     .timeout(Duration::from_secs(2))
///     // What the server can call in turn:
///     .connector(Connector::new().options(Options::new().max_pending(100)).serve(router))
///     .connect("tcp://127.0.0.1:7000")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct ClientBuilder<C = DefaultCodec, K = Connector> {
    codec: C,
    connector: K,
    settings: Settings,
}

/// The replicas of a client, before they are.
type Set<K> = Builder<Fixed<Endpoint>, Counted<K>>;

#[cfg(any(feature = "bincode", feature = "json"))]
impl Client {
    /// Dials, and returns a client with the default stack, as [`ClientBuilder::connect`]: of one server, or of
    /// several replicas with commas between them, as in `tcp://10.0.0.1:7000,tcp://10.0.0.2:7000`.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if these are no endpoints,
    /// [`Kind::Unreachable`](crate::Kind::Unreachable) if the first dial of each fails.
    pub async fn connect<E>(endpoints: E) -> Result<Self, Error>
    where
        E: TryInto<Endpoints>,
        E::Error: Into<InvalidEndpoint>,
    {
        Self::builder().connect(endpoints).await
    }

    /// A client with the default stack that dials when it is first used, as [`ClientBuilder::connect_lazy`].
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if these are no endpoints.
    pub fn connect_lazy<E>(endpoints: E) -> Result<Self, Error>
    where
        E: TryInto<Endpoints>,
        E::Error: Into<InvalidEndpoint>,
    {
        Self::builder().connect_lazy(endpoints)
    }

    /// A client with the default stack, its settings first.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new(DefaultCodec)
    }
}

impl<C: Codec> ClientBuilder<C> {
    /// The defaults, with a codec.
    pub fn new(codec: C) -> Self {
        Self {
            codec,
            connector: Connector::new(),
            settings: Settings::default(),
        }
    }
}

impl<C, K> ClientBuilder<C, K> {
    /// Encodes and decodes values by this codec. Default: [`DefaultCodec`].
    pub fn codec<D: Codec>(self, codec: D) -> ClientBuilder<D, K> {
        ClientBuilder {
            codec,
            connector: self.connector,
            settings: self.settings,
        }
    }

    /// Makes connections by this [`Connector`], which has the options of connections, the dialler, and what is
    /// served to the server; or by any service around one. Default: [`Connector::new`].
    pub fn connector<L>(self, connector: L) -> ClientBuilder<C, L>
    where
        L: Service<Endpoint, Response = Channel>,
    {
        ClientBuilder {
            codec: self.codec,
            connector,
            settings: self.settings,
        }
    }

    /// How long calls wait that do not say: connecting, where that is needed, included. Default: 20 s. With `None`
    /// they wait for as long as it takes.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.timeout = timeout.into();
        self
    }

    /// Whether calls that do not say fail where they would wait for a replica that cannot be reached, as
    /// [`Call::fail_fast`](super::Call::fail_fast). Default: false, they wait.
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.settings.fail_fast = fail_fast;
        self
    }

    /// What is tried again, and which methods may run twice. Default: [`RetryPolicy::new`]. Over several replicas
    /// a call that found a full queue is tried [elsewhere](RetryPolicy::elsewhere), whatever the policy says.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// A client of replicas that were put together by hand: found by a resolver, in zones, under layers of their
    /// own. The connector of this builder is not used, and what their connections count is counted by theirs.
    pub fn replicas(self, replicas: Replicas<Channel>) -> Client<DefaultStack, C>
    where
        C: Codec,
    {
        let stack = self.settings.stack(replicas, Census::default(), true);
        Client::with_codec(stack, self.codec)
    }
}

impl<C, K> ClientBuilder<C, K>
where
    C: Codec,
    K: Service<Endpoint, Response = Channel> + Clone + Send + 'static,
    K::Error: Into<BoxError>,
    K::Future: Send,
{
    /// Dials all endpoints, and waits until one is connected or the first dial of each has failed. What a dropped
    /// future has dialled is not kept.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if these are no endpoints,
    /// [`Kind::Unreachable`](crate::Kind::Unreachable) if there is none, or the first dial of each fails.
    ///
    /// # Panics
    /// If polled outside of a tokio runtime.
    pub async fn connect<E>(self, endpoints: E) -> Result<Client<DefaultStack, C>, Error>
    where
        E: TryInto<Endpoints>,
        E::Error: Into<InvalidEndpoint>,
    {
        let client = self.build(endpoints, |replicas| replicas)?;
        let replicas = client.service().replicas().clone();
        replicas.ready().await?;
        Ok(client)
    }

    /// Dials when the first call needs it. Does not need a runtime before that.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if these are no endpoints,
    /// [`Kind::Unreachable`](crate::Kind::Unreachable) if there is none.
    pub fn connect_lazy<E>(self, endpoints: E) -> Result<Client<DefaultStack, C>, Error>
    where
        E: TryInto<Endpoints>,
        E::Error: Into<InvalidEndpoint>,
    {
        self.build(endpoints, Builder::lazy)
    }

    fn build<E>(
        self,
        endpoints: E,
        set: impl FnOnce(Set<K>) -> Set<K>,
    ) -> Result<Client<DefaultStack, C>, Error>
    where
        E: TryInto<Endpoints>,
        E::Error: Into<InvalidEndpoint>,
    {
        let endpoints = endpoints.try_into().map_err(Into::into)?;
        let several = endpoints.as_slice().len() > 1;
        let census = Census::default();
        let connector = Counted::new(self.connector, census.clone());
        let replicas = set(Replicas::builder(Fixed::new(endpoints)?, connector)).start();
        let stack = self.settings.stack(replicas, census, several);
        Ok(Client::with_codec(stack, self.codec))
    }
}

impl<C, K> fmt::Debug for ClientBuilder<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
