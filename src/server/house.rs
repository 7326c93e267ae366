//! What is done with a client that was accepted: it is given a service and a connection, or refused.

use std::{
    fmt::{self, Display},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};
use tower_service::Service;

use super::{
    accepted::Accepted,
    ages::Ages,
    front::Slots,
    handle::{Phase, ServerHandle, Wish},
    registry::Registry,
};
use crate::{
    Address, BoxError, Connection, Error, Options, Peer, Request,
    conn::{Builder, RpcService},
    events,
    transport::{Open, Opened, Refused},
    wire::{Reason, Role, Wire},
};

/// What all listeners of a server do alike. Each has a clone.
#[derive(Clone, Debug)]
pub(super) struct House<M, W> {
    pub(super) make: M,
    pub(super) wire: W,
    pub(super) options: Options,
    pub(super) ages: Ages,
    pub(super) slots: Option<Slots>,
    pub(super) handle: ServerHandle,
}

/// A client that is to be served.
struct Received<Io, S, W>
where
    S: Service<Request>,
    W: Wire,
{
    connection: Pin<Box<Connection<Io, S, W>>>,
    peer: Peer,
    address: Address,
}

/// What a client is told that comes too late.
pub(super) const STOPS: &str = "the server stops";

/// How long a client that is refused, or that comes too late, has to become ready to be told so.
const REFUSAL: Duration = Duration::from_secs(1);

impl<M, W, S> House<M, W>
where
    M: Service<Accepted, Response = S, Error: Into<Error>, Future: Send> + Send + 'static,
    S: RpcService + Send + 'static,
    W: Wire + Clone,
{
    /// Does what is to be done with a stream before its first frame, and then serves it.
    ///
    /// What that takes – handshakes, a service, the connection – is held by parts of their own, which go as soon as they
    /// are done with: ten thousand clients that are idle hold what they need, and not what they once needed.
    pub(super) fn connection<O: Open>(
        self,
        stream: O,
        address: Address,
        listener: Address,
        phase: watch::Receiver<Phase>,
        wishes: watch::Receiver<Wish>,
        slot: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = ()> + Send {
        let (ages, handle) = (self.ages, self.handle.clone());
        let received = Box::pin(self.received(stream, address, listener, phase));
        async move {
            let Some(received) = received.await else {
                return;
            };
            let Received {
                mut connection,
                peer,
                address,
            } = received;
            let entry = Registry::enter(handle.registry(), peer.clone(), wishes);
            let drains = |reason| {
                tracing::debug!(target: events::SERVER, %address, reason, "a connection is drained");
            };
            let life = ages.live(connection.as_mut(), &peer, drains);
            let (ended, ()) = tokio::join!(life, async {
                peer.closed().await;
                // Handlers may run on, and take the place of no client.
                drop(slot);
            });
            if let Err(error) = ended {
                tracing::debug!(target: events::SERVER, %address, %error, "a connection was lost");
            }
            drop(entry);
        }
    }

    /// Makes a connection of a stream. One that is not wanted is told so, if it can be, and there is nothing.
    async fn received<O: Open>(
        mut self,
        stream: O,
        address: Address,
        listener: Address,
        mut phase: watch::Receiver<Phase>,
    ) -> Option<Received<O::Io, S, W>> {
        let within = self.options.handshake_timeout;
        let opened = {
            let mut opening = pin!(open(stream, address.clone(), within));
            tokio::select! {
                biased;
                opened = &mut opening => opened,
                // It may have sent calls already. Only when it is ready can it be told that none was started.
                () = draining(&mut phase) => match timeout(REFUSAL, opening).await {
                    Ok(opened) => opened,
                    Err(_) => Err(STOPS.into()),
                },
            }
        };
        let Opened {
            io,
            address,
            extensions,
            ..
        } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                match error.downcast::<Refused>() {
                    Ok(refused) => {
                        let text = refused.to_string();
                        let io = refused.into_io();
                        self.refuse(io, address, Reason::Refused, text).await;
                    }
                    Err(error) => self.refused(&address, &Chain(&*error)),
                }
                return None;
            }
        };
        let builder = self.builder(&address).extensions(extensions.clone());
        let prepared = builder.prepare(io);
        let peer = prepared.peer().clone();
        let accepted = Accepted {
            peer: peer.clone(),
            address: address.clone(),
            listener,
            extensions,
        };
        let made = tokio::select! {
            biased;
            () = draining(&mut phase) => Err((Reason::Shutdown, STOPS.to_owned())),
            made = timeout(within, made(&mut self.make, accepted)) => match made {
                Ok(Ok(service)) => Ok(service),
                Ok(Err(error)) => Err((Reason::Refused, error.to_string())),
                Err(_) => Err((Reason::Timeout, "making the service took longer than handshake_timeout".into())),
            },
        };
        match made {
            Ok(service) => Some(Received {
                connection: Box::pin(prepared.serve(service)),
                peer,
                address,
            }),
            Err((reason, text)) => {
                self.refused(&address, &text);
                // It always fails, with the text.
                drop(prepared.refuse(reason, text).await);
                None
            }
        }
    }
}

impl<M, W: Wire + Clone> House<M, W> {
    /// Tells a client that it is not wanted, and why.
    pub(super) fn refuse<O: Open>(
        &self,
        stream: O,
        address: Address,
        reason: Reason,
        text: String,
    ) -> impl Future<Output = ()> + Send + use<O, M, W> {
        self.refused(&address, &text);
        let builder = self.builder(&address);
        async move {
            if let Ok(opened) = open(stream, address, REFUSAL).await {
                // It always fails, with the text.
                drop(builder.refuse(opened.io, reason, text).await);
            }
        }
    }

    /// Notes a client that is not wanted.
    pub(super) fn refused(&self, address: &Address, reason: &dyn Display) {
        self.handle.registry().refused();
        tracing::warn!(target: events::SERVER, %address, reason = %reason, "a connection was refused");
    }

    fn builder(&self, address: &Address) -> Builder<W> {
        Builder::new(Role::Acceptor)
            .wire(self.wire.clone())
            .options(self.options.clone())
            .address(address.clone())
    }
}

/// An error with its causes, for a line in a log.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut error = self.0;
        while let Some(source) = error.source() {
            write!(f, ": {source}")?;
            error = source;
        }
        Ok(())
    }
}

/// Does what is to be done before the first frame.
async fn open<O: Open>(
    stream: O,
    address: Address,
    within: Duration,
) -> Result<Opened<O::Io>, BoxError> {
    match timeout(within, stream.open(address, None)).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("it was not ready for a first frame within {within:?}").into()),
    }
}

async fn made<M, S>(make: &mut M, accepted: Accepted) -> Result<S, Error>
where
    M: Service<Accepted, Response = S, Error: Into<Error>>,
{
    let made = async {
        poll_fn(|cx| make.poll_ready(cx)).await?;
        make.call(accepted).await
    };
    made.await.map_err(Into::into)
}

/// Waits until the server drains.
pub(super) async fn draining(phase: &mut watch::Receiver<Phase>) {
    // A server that was dropped has no phase, and nobody waits for it.
    let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
}
