//! The settings of a client with the default stack.

use std::{fmt, time::Duration};

use tower_service::Service;

use super::{
    Channel, Client, Connector, DefaultStack,
    reconnect::{Reconnect, erase},
    stack::{Settings, stack},
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

#[cfg(any(feature = "bincode", feature = "json"))]
impl Client {
    /// Dials, and returns a client with the default stack, as [`ClientBuilder::connect`].
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if this is no endpoint,
    /// [`Kind::Unreachable`](crate::Kind::Unreachable) if the first dial fails.
    pub async fn connect<E>(endpoint: E) -> Result<Self, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        Self::builder().connect(endpoint).await
    }

    /// A client with the default stack that dials when it is first used, as [`ClientBuilder::connect_lazy`].
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if this is no endpoint.
    pub fn connect_lazy<E>(endpoint: E) -> Result<Self, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        Self::builder().connect_lazy(endpoint)
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

    /// Lets all calls fail at once where they would wait for a connection, as
    /// [`Call::fail_fast`](super::Call::fail_fast). Default: they wait.
    pub fn fail_fast(mut self) -> Self {
        self.settings.fail_fast = true;
        self
    }
}

impl<C, K> ClientBuilder<C, K>
where
    C: Codec,
    K: Service<Endpoint, Response = Channel> + Clone + Send + 'static,
    K::Error: Into<Error>,
    K::Future: Send,
{
    /// Dials once. What a dropped future has dialled is not kept.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if this is no endpoint,
    /// [`Kind::Unreachable`](crate::Kind::Unreachable) if the dial fails.
    pub async fn connect<E>(self, endpoint: E) -> Result<Client<DefaultStack, C>, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        let (codec, connection, settings) = self.build(endpoint)?;
        connection.connect().await?;
        Ok(Client::with_codec(stack(connection, settings), codec))
    }

    /// Dials when the first call needs it. Does not need a runtime before that.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if this is no endpoint.
    pub fn connect_lazy<E>(self, endpoint: E) -> Result<Client<DefaultStack, C>, Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        let (codec, connection, settings) = self.build(endpoint)?;
        Ok(Client::with_codec(stack(connection, settings), codec))
    }

    fn build<E>(self, endpoint: E) -> Result<(C, Reconnect, Settings), Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<InvalidEndpoint>,
    {
        let endpoint = endpoint.try_into().map_err(Into::into)?;
        let connection = Reconnect::new(endpoint, erase(self.connector));
        Ok((self.codec, connection, self.settings))
    }
}

impl<C, K> fmt::Debug for ClientBuilder<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
