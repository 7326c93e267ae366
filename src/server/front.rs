//! One listener of a server: it accepts as long as the server serves, and hands each client to the house.

use std::{
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
    handle::{Phase, Wish},
    house::{House, STOPS, draining},
};
use crate::{
    Address, Error,
    conn::{Excess, RpcService},
    events,
    transport::Listener,
    wire::{Reason, Wire},
};

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
                        Err(error) if is_end(&error) => {
                            tracing::info!(target: events::SERVER, listener = %self.address, "a listener has ended");
                            return Over::Ended;
                        }
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
                Some(Err(error)) if is_end(&error) => return,
                // Perhaps about a client that is gone again: others may stand behind it.
                Some(Err(_)) => {}
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
        let connection = house.connection(io, address, listener, phase, wishes, slot);
        self.tasks.connections.spawn(connection);
    }
}

async fn accept<L: Listener>(
    listener: &mut L,
    paused_until: Instant,
) -> io::Result<(L::Io, Address)> {
    sleep_until(paused_until).await;
    listener.accept().await
}

/// Whether a listener has [ended](Listener::accept).
fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

async fn acquire(free: Option<Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    // It is never closed.
    free?.acquire_owned().await.ok()
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
