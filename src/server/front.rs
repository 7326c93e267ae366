//! One listener of a server: it accepts, and gives each client a connection with a service of its own.

use std::{
    fmt::{self, Display},
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinSet, coop, yield_now},
    time::{Instant, sleep_until},
};
use tower_service::Service;

use super::{
    accepted::Accepted,
    ages::Ages,
    handle::{Phase, ServerHandle, Wish},
    registry::Registry,
};
use crate::{
    Address, BoxError, Error, Options,
    conn::{Builder, Excess, RpcService},
    events,
    transport::{Io, Listener, Open, Opened, Refused},
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

/// How many connections there may be, and what happens to others.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    limit: usize,
    excess: Excess,
}

/// The task of one listener.
pub(super) struct Front<L: Listener, M, W> {
    listener: L,
    address: Address,
    house: House<M, W>,
    phase: watch::Receiver<Phase>,
    tasks: Tasks,
    rng: fastrand::Rng,
    /// A client that waits for a slot; meanwhile no other is accepted.
    in_hand: Option<(L::Io, Address)>,
    /// When accepting goes on after an error.
    paused_until: Instant,
}

/// The connections of a listener, and those that it refuses.
#[derive(Debug, Default)]
struct Tasks {
    connections: JoinSet<()>,
    refusals: JoinSet<()>,
}

/// Why a listener accepts no more.
#[derive(PartialEq, Eq)]
enum Over {
    Draining,
    Ended,
}

/// How long accepting pauses after an error. Most are about a lack of something, such as file descriptors,
/// that only time and ending connections give back.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long a client that is refused has to become ready to be told so.
const REFUSAL: Duration = Duration::from_secs(1);

/// Clients that are being told that they are not wanted. Each takes up to two seconds; further ones are dropped
/// without a word, so that a flood of them costs no more than this.
const MAX_REFUSALS: usize = 256;

/// Clients that are taken out of a listener's queue when it is done, to be told so: as many as the queues of most
/// systems hold. Others may keep coming, so there has to be an end.
const MAX_SWEPT: usize = 4096;

impl Slots {
    pub(super) fn new(limit: usize, excess: Excess) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(limit)),
            limit,
            excess,
        }
    }
}

impl<L, M, W, S> Front<L, M, W>
where
    L: Listener,
    M: Service<Accepted, Response = S, Error: Into<Error>, Future: Send> + Clone + Send + 'static,
    S: RpcService + Send + 'static,
    W: Wire + Clone,
{
    pub(super) fn new(listener: L, house: House<M, W>) -> Self {
        Self {
            address: listener.local_address(),
            listener,
            phase: house.handle.phases(),
            house,
            tasks: Tasks::default(),
            rng: fastrand::Rng::new(),
            in_hand: None,
            paused_until: Instant::now(),
        }
    }

    /// Accepts and serves until the server drains or the listener ends, and then until the last connection has
    /// ended. The server lasts for as long as `wishes`.
    pub(super) async fn run(mut self, wishes: watch::Receiver<Wish>) {
        let over = self.accept_all(&wishes).await;
        if over == Over::Draining {
            self.sweep().await;
        }
        let Self {
            listener,
            mut tasks,
            ..
        } = self;
        // No client waits in the queue of a listener that is gone.
        drop(listener);
        while tasks.connections.join_next().await.is_some() {}
        while tasks.refusals.join_next().await.is_some() {}
        drop(wishes);
    }

    async fn accept_all(&mut self, wishes: &watch::Receiver<Wish>) -> Over {
        loop {
            let slots = self.house.slots.as_ref();
            let free = slots.map(|slots| slots.free.clone());
            tokio::select! {
                biased;
                () = draining(&mut self.phase) => return Over::Draining,
                Some(_) = self.tasks.connections.join_next() => {}
                Some(_) = self.tasks.refusals.join_next() => {}
                slot = acquire(free), if self.in_hand.is_some() => {
                    if let Some((io, address)) = self.in_hand.take() {
                        self.serve(io, address, slot, wishes.clone());
                    }
                }
                accepted = accept(&mut self.listener, self.paused_until), if self.in_hand.is_none() => {
                    match accepted {
                        Ok((io, address)) => self.admit(io, address, wishes),
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Over::Ended,
                        Err(error) => self.pause(&error),
                    }
                }
            }
        }
    }

    /// Gives a client a slot, lets it wait for one, or refuses it.
    fn admit(&mut self, io: L::Io, address: Address, wishes: &watch::Receiver<Wish>) {
        self.house.handle.registry().accepted(true);
        tracing::debug!(target: events::SERVER, listener = %self.address, %address, "accepted");
        let Some(slots) = &self.house.slots else {
            return self.serve(io, address, None, wishes.clone());
        };
        match slots.free.clone().try_acquire_owned() {
            Ok(slot) => self.serve(io, address, Some(slot), wishes.clone()),
            Err(_) if slots.excess == Excess::Wait => self.in_hand = Some((io, address)),
            Err(_) => {
                let text = format!("max_connections of {} is reached", slots.limit);
                self.refuse(io, address, Reason::Limit, text);
            }
        }
    }

    fn pause(&mut self, error: &io::Error) {
        self.house.handle.registry().accepted(false);
        tracing::error!(target: events::SERVER, listener = %self.address, %error, "an accept failed");
        self.paused_until = Instant::now() + ACCEPT_PAUSE;
    }

    /// Tells those who have come and were not served that the server stops. Without a word they could not know
    /// that nothing of theirs was looked at.
    async fn sweep(&mut self) {
        if let Some((io, address)) = self.in_hand.take() {
            self.refuse(io, address, Reason::Shutdown, STOPS.into());
        }
        let mut asked_again = false;
        for _ in 0..MAX_SWEPT {
            let accept = coop::unconstrained(self.listener.accept());
            match now(accept).await {
                Some(Ok((io, address))) => self.refuse(io, address, Reason::Shutdown, STOPS.into()),
                Some(Err(_)) => return,
                None if asked_again => return,
                None => {
                    // The runtime may not have asked the system since somebody came.
                    asked_again = true;
                    yield_now().await;
                }
            }
        }
    }

    fn refuse(&mut self, io: L::Io, address: Address, reason: Reason, text: String) {
        if self.tasks.refusals.len() < MAX_REFUSALS {
            let refusal = self.house.refuse(io, address, reason, text);
            self.tasks.refusals.spawn(refusal);
        } else {
            self.house
                .refused(&address, &"too many were refused in the last second");
        }
    }

    fn serve(
        &mut self,
        io: L::Io,
        address: Address,
        slot: Option<OwnedSemaphorePermit>,
        wishes: watch::Receiver<Wish>,
    ) {
        let mut house = self.house.clone();
        house.ages = house.ages.jittered(&mut self.rng);
        let listener = self.address.clone();
        let phase = self.phase.clone();
        self.tasks.connections.spawn(async move {
            house.connection(io, address, listener, phase, wishes).await;
            drop(slot);
        });
    }
}

/// What a client is told that comes too late.
const STOPS: &str = "the server stops";

impl<M, W, S> House<M, W>
where
    M: Service<Accepted, Response = S, Error: Into<Error>, Future: Send> + Send + 'static,
    S: RpcService + Send + 'static,
    W: Wire + Clone,
{
    /// Does what is to be done with a stream before its first frame, and then serves it.
    async fn connection<O: Open>(
        self,
        stream: O,
        address: Address,
        listener: Address,
        mut phase: watch::Receiver<Phase>,
        wishes: watch::Receiver<Wish>,
    ) {
        let within = self.options.handshake_timeout;
        let opened = tokio::select! {
            biased;
            opened = open(stream, address.clone(), within) => opened,
            // Nothing was said on it that could be answered.
            () = draining(&mut phase) => Err(STOPS.into()),
        };
        match opened {
            Ok(opened) => self.served(opened, listener, phase, wishes).await,
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
            made = tokio::time::timeout(within, made(&mut self.make, accepted)) => match made {
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
        if let Err(error) = self.ages.live(pin!(connection), &peer, drains).await {
            tracing::debug!(target: events::SERVER, %address, %error, "a connection was lost");
        }
        drop(entry);
    }
}

impl<M, W: Wire + Clone> House<M, W> {
    /// Tells a client that it is not wanted, and why.
    fn refuse<O: Open>(
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

    fn refused(&self, address: &Address, reason: &dyn Display) {
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
    match tokio::time::timeout(within, stream.open(address, None)).await {
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

async fn accept<L: Listener>(
    listener: &mut L,
    paused_until: Instant,
) -> io::Result<(L::Io, Address)> {
    sleep_until(paused_until).await;
    listener.accept().await
}

async fn acquire(free: Option<Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    // It is never closed.
    free?.acquire_owned().await.ok()
}

async fn draining(phase: &mut watch::Receiver<Phase>) {
    // A server that was dropped has no phase, and nobody waits for it.
    let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
}

/// What is ready now.
async fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
