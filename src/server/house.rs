//! What is done with a client that was accepted: it is given a service and a connection, or refused.

use std::{
    fmt::{self, Display},
    future::{Future, poll_fn},
    pin::pin,
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
    Address, BoxError, Error, Options,
    conn::{Builder, RpcService},
    events,
    transport::{Io, Open, Opened, Refused},
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
    pub(super) async fn connection<O: Open>(
        self,
        stream: O,
        address: Address,
        listener: Address,
        mut phase: watch::Receiver<Phase>,
        wishes: watch::Receiver<Wish>,
        slot: Option<OwnedSemaphorePermit>,
    ) {
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
        match opened {
            Ok(opened) => self.served(opened, listener, phase, wishes, slot).await,
            Err(error) => match error.downcast::<Refused>() {
                Ok(refused) => {
                    let text = refused.to_string();
                    let refusal = self.refuse(refused.into_io(), address, Reason::Refused, text);
                    refusal.await;
                }
                Err(error) => self.refused(&address, &Chain(&*error)),
            },
        }
    }

    /// Makes the service of a client, and serves it until it leaves.
    async fn served<I: Io>(
        mut self,
        opened: Opened<I>,
        listener: Address,
        mut phase: watch::Receiver<Phase>,
        wishes: watch::Receiver<Wish>,
        slot: Option<OwnedSemaphorePermit>,
    ) {
        let Opened {
            io,
            address,
            extensions,
            ..
        } = opened;
        let builder = self.builder(&address).extensions(extensions.clone());
        let prepared = builder.prepare(io);
        let peer = prepared.peer().clone();
        let accepted = Accepted {
            peer: peer.clone(),
            address: address.clone(),
            listener,
            extensions,
        };
        let within = self.options.handshake_timeout;
        let made = tokio::select! {
            biased;
            () = draining(&mut phase) => Err((Reason::Shutdown, STOPS.to_owned())),
            made = timeout(within, made(&mut self.make, accepted)) => match made {
                Ok(Ok(service)) => Ok(service),
                Ok(Err(error)) => Err((Reason::Refused, error.to_string())),
                Err(_) => Err((Reason::Timeout, "making the service took longer than handshake_timeout".into())),
            },
        };
        let service = match made {
            Ok(service) => service,
            Err((reason, text)) => {
                self.refused(&address, &text);
                // It always fails, with the text.
                drop(prepared.refuse(reason, text).await);
                return;
            }
        };
        let connection = prepared.serve(service);
        let entry = Registry::enter(self.handle.registry(), peer.clone(), wishes);
        let drains = |reason| {
            tracing::debug!(target: events::SERVER, %address, reason, "a connection is drained");
        };
        let mut connection = pin!(connection);
        let life = self.ages.live(connection.as_mut(), &peer, drains);
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
