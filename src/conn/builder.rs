//! Puts a wire on a stream.

use std::{borrow::Cow, sync::Arc};

use http::Extensions;
use steeple_layers::moment::Moment;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    clock::Clock,
    driver::{Connection, Parts},
    options::Options,
    outbox::Outbox,
    peer::Peer,
    service::RpcService,
    shared::Shared,
    unserved::Unserved,
};
use crate::{
    transport::Address,
    wire::{Reason, Role, Wire, native::Native},
};

/// Makes a connection of any stream: TCP, a pipe, one of the user's own.
///
/// ```
/// use steeple::{
///     Body, Error, Request, Response,
///     conn::{Builder, Unserved},
///     wire::Role,
/// };
/// use tower::{Service, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let echo = service_fn(|request: Request| async move {
///     Ok::<_, Error>(Response::new(request.into_body()))
/// });
/// let (near, far) = tokio::io::duplex(1024);
///
/// let (_, server) = Builder::new(Role::Acceptor).build(far, echo);
/// let (mut peer, client) = Builder::new(Role::Dialer).build(near, Unserved);
/// tokio::spawn(server);
/// tokio::spawn(client);
///
/// let response = peer.call(Request::new("Echo", Body::from("hello"))).await?;
/// assert_eq!(response.into_body().into_bytes(), "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<W = Native> {
    role: Role,
    wire: W,
    options: Options,
    address: Option<Address>,
    extensions: Extensions,
}

/// A connection that only waits for its service. Calls of its peer wait too, until it is served, and fail if this is
/// dropped.
pub(crate) struct Prepared<Io, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    W: Wire,
{
    peer: Peer,
    /// Until it is served.
    parts: Option<Parts<Io, W>>,
}

impl Builder {
    /// A connection of the native wire on which this side has `role`.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            wire: Native::default(),
            options: Options::default(),
            address: None,
            extensions: Extensions::new(),
        }
    }
}

impl<W: Wire> Builder<W> {
    /// Uses another wire, or other limits of the native one.
    pub fn wire<V: Wire>(self, wire: V) -> Builder<V> {
        Builder {
            role: self.role,
            wire,
            options: self.options,
            address: self.address,
            extensions: self.extensions,
        }
    }

    /// Sets the options of the connection.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Says what the other end is called.
    pub fn address(mut self, address: impl Into<Option<Address>>) -> Self {
        self.address = address.into();
        self
    }

    /// Adds a value that every request of this connection finds in its [`connection`](crate::Request::connection).
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Adds all of these, as [`extension`](Self::extension) does one.
    pub fn extensions(mut self, values: Extensions) -> Self {
        self.extensions.extend(values);
        self
    }

    /// The other end as something to call, and the task to be spawned. `service` serves what the other end
    /// calls; requests find the [`Peer`] and its [`Address`] in their [`connection`](crate::Request::connection).
    ///
    /// The connection keeps what the readiness of its service grants until a request uses it. So a layer whose
    /// `poll_ready` takes from a stock that connections share, such as tower's `GlobalConcurrencyLimit`, can be
    /// emptied by connections that are idle. A limit that is asked in `call` cannot.
    pub fn build<Io, S>(self, io: Io, service: S) -> (Peer, Connection<Io, S, W>)
    where
        Io: AsyncRead + AsyncWrite + Unpin,
        S: RpcService,
    {
        let prepared = self.prepare(io);
        (prepared.peer().clone(), prepared.serve(service))
    }

    /// All but the service, for one that is made for this very peer.
    pub(crate) fn prepare<Io>(self, io: Io) -> Prepared<Io, W>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let Self {
            role,
            wire,
            mut options,
            address,
            mut extensions,
        } = self;
        let capabilities = wire.capabilities();
        if !capabilities.ping {
            options.keepalive = None;
        }
        let (encoder, decoder) = wire.split(role);
        let clock = Clock::new(Moment::now());
        let mut outbox = Outbox::new(Box::new(encoder), capabilities, role, clock, &options);
        // The accepting side says nothing before it has read what the peer speaks.
        if role == Role::Dialer || !capabilities.hello {
            outbox.open();
        }
        let ages = options.unanswered_limit.is_some();
        let shared = Arc::new(Shared::new(outbox, address.clone(), ages));
        let peer = Peer::new(shared.clone());
        extensions.insert(peer.clone());
        if let Some(address) = address {
            extensions.insert(address);
        }
        let parts = Parts {
            io,
            decoder,
            role,
            shared,
            extensions: Arc::new(extensions),
            clock,
            capabilities,
            options,
        };
        Prepared {
            peer,
            parts: Some(parts),
        }
    }

    /// Refuses a peer: the task, to be spawned, tells it `reason` and `text` before anything else and closes the
    /// stream. It takes 1 s at most, reads nothing of the peer but to throw it away, and always fails, with `text`.
    ///
    /// The peer's calls end as not started. It sees the reason on a wire that has a word for it.
    pub fn refuse<Io>(
        self,
        io: Io,
        reason: Reason,
        text: impl Into<Cow<'static, str>>,
    ) -> Connection<Io, Unserved, W>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        self.prepare(io).refuse(reason, text)
    }
}

impl<Io, W> Prepared<Io, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    W: Wire,
{
    /// The other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The task that serves it.
    pub(crate) fn serve<S: RpcService>(mut self, service: S) -> Connection<Io, S, W> {
        let parts = self.parts.take();
        Connection::new(parts.expect("only this takes them"), service)
    }

    /// The task that [refuses](Builder::refuse) it.
    pub(crate) fn refuse(
        self,
        reason: Reason,
        text: impl Into<Cow<'static, str>>,
    ) -> Connection<Io, Unserved, W> {
        let mut connection = self.serve(Unserved);
        connection.refuse(reason, text.into());
        connection
    }
}

impl<Io, W> Drop for Prepared<Io, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    W: Wire,
{
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            // Its end is told to all who wait for the peer.
            drop(Connection::new(parts, Unserved));
        }
    }
}
