//! One replica as something to call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use pin_project_lite::pin_project;
use smallvec::SmallVec;
use tower::load::Load;
use tower_service::Service;

use super::{
    Member,
    snapshot::Seat,
    stats::{Elsewhere, Ticket},
};
use crate::{
    AsError, Error, Kind,
    moment::Moment,
    outcome::Outcome,
    tried::{self, Tried},
};

/// One replica of a set: a tower [`Service`] whose calls count, whoever balances them.
///
/// It stands for the connections that the endpoint had when it was taken. It fails when these are lost; ask
/// its set for another then.
pub struct Replica<S> {
    seat: Arc<Seat<S>>,
    /// Own clones of the connections, made when they are first called: a clone may keep what its next call
    /// can use again.
    services: SmallVec<[Option<S>; 1]>,
    /// The one that is ready.
    ready: Option<usize>,
}

pin_project! {
    /// A call of a [`Replica`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ReplicaFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S, Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req>
    where
        S: Service<Req>,
    {
        /// On its way.
        Called { #[pin] call: S::Future, ticket: Option<Ticket> },
        /// A layer of the replica is not ready for it. Boxed: it is rare, and large.
        Readying { readying: Box<Readying<S, Req>> },
        /// Not called at all.
        Failed { error: Option<S::Error>, mark: Tried },
    }
}

/// A call that waits for a layer of its replica.
struct Readying<S, Req> {
    service: S,
    /// Both are taken when the call is made.
    request: Option<Req>,
    ticket: Option<Ticket>,
}

/// How a replica lets a call in.
pub(crate) enum Admitted<E> {
    /// On the connection at a place, which may have to be waited for.
    On {
        place: usize,
        is_ready: bool,
        ticket: Ticket,
    },
    /// The connection of the replica with that mark fails.
    Failed(E, Tried),
}

// Its services are called, and none is pinned.
impl<S> Unpin for Replica<S> {}

impl<S> Replica<S> {
    pub(super) fn new(seat: Arc<Seat<S>>) -> Self {
        Self {
            services: seat.links.iter().map(|_| None).collect(),
            seat,
            ready: None,
        }
    }

    /// Where it is and how it does.
    pub fn member(&self) -> &Member {
        &self.seat.member
    }
}

impl<S: Clone> Replica<S> {
    /// The connection that a call would be made on now, under the layers of the replica. What is called on it is
    /// not counted.
    pub fn connection(&self) -> S {
        self.seat.links[self.place()].service.clone()
    }

    /// Lets a call in, on the connection with the fewest pending calls; [`call_admitted`](Self::call_admitted)
    /// makes it. Nothing, if the replica takes none or the connection is lost: a later snapshot is without it.
    #[inline]
    pub(crate) fn admit<Req>(
        &mut self,
        started: Moment,
        elsewhere: Elsewhere,
    ) -> Option<Admitted<S::Error>>
    where
        S: Service<Req>,
        S::Error: AsError,
    {
        let place = self.place();
        self.ready = None;
        let link = &self.seat.links[place];
        let stats = self.seat.member.stats();
        let ticket = stats.enter(link.number, started, elsewhere)?;
        let slot = &mut self.services[place];
        let service = slot.get_or_insert_with(|| link.service.clone());
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => {
                *slot = None;
                ticket.finish(Outcome::of(Some(&error)));
                (!is_lost(&error)).then_some(Admitted::Failed(error, stats.mark))
            }
            readiness => Some(Admitted::On {
                place,
                is_ready: readiness.is_ready(),
                ticket,
            }),
        }
    }

    /// Makes a call that was let in.
    #[inline]
    pub(crate) fn call_admitted<Req>(
        &mut self,
        admitted: Admitted<S::Error>,
        request: Req,
    ) -> ReplicaFuture<S, Req>
    where
        S: Service<Req>,
    {
        const ASKED: &str = "a connection that let a call in was asked whether it is ready";
        let state = match admitted {
            Admitted::On {
                place,
                is_ready: true,
                ticket,
            } => State::Called {
                call: self.services[place].as_mut().expect(ASKED).call(request),
                ticket: Some(ticket),
            },
            // The future takes along what was polled: a clone would wait anew, and this one keep what it
            // waits for.
            Admitted::On { place, ticket, .. } => State::Readying {
                readying: Box::new(Readying {
                    service: self.services[place].take().expect(ASKED),
                    request: Some(request),
                    ticket: Some(ticket),
                }),
            },
            Admitted::Failed(error, mark) => {
                let error = Some(error);
                State::Failed { error, mark }
            }
        };
        ReplicaFuture { state }
    }

    /// The connection to call: the one that is ready, or the best.
    fn place(&self) -> usize {
        self.ready
            .unwrap_or_else(|| self.seat.member.stats().choose(&self.seat.links))
    }
}

impl<S, Req> Service<Req> for Replica<S>
where
    S: Service<Req> + Clone,
    S::Error: From<Error> + AsError,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ReplicaFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let place = self.place();
        self.ready = Some(place);
        let seat = &self.seat;
        self.services[place]
            .get_or_insert_with(|| seat.links[place].service.clone())
            .poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> ReplicaFuture<S, Req> {
        let mark = self.seat.member.stats().mark;
        let refused = || {
            let error = Error::new(Kind::Unavailable, "this replica takes no calls");
            Admitted::Failed(error.into(), mark)
        };
        let admitted = self.admit(Moment::now(), Elsewhere::Untried);
        let admitted = admitted.unwrap_or_else(refused);
        self.call_admitted(admitted, request)
    }
}

impl<S, Req> Future for ReplicaFuture<S, Req>
where
    S: Service<Req>,
    S::Error: From<Error> + AsError,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Called { call, ticket } => {
                    if let Some(ticket) = ticket {
                        ticket.tell();
                    }
                    let polled = call.poll(cx);
                    if let Poll::Ready(result) = &polled
                        && let Some(ticket) = ticket.take()
                    {
                        ticket.finish(Outcome::of(result.as_ref().err()));
                    }
                    return polled;
                }
                StateProj::Readying { readying } => {
                    if let Some(ticket) = &mut readying.ticket {
                        ticket.tell();
                    }
                    let ready = ready!(readying.service.poll_ready(cx));
                    let ticket = readying.ticket.take();
                    if let Err(error) = ready {
                        if let Some(ticket) = ticket {
                            ticket.finish(Outcome::of(Some(&error)));
                        }
                        return Poll::Ready(Err(error));
                    }
                    let request = readying.request.take().expect("polled after completion");
                    State::Called {
                        call: readying.service.call(request),
                        ticket,
                    }
                }
                StateProj::Failed { error, mark } => {
                    tried::note(*mark, false);
                    return Poll::Ready(Err(error.take().expect("polled after completion")));
                }
            };
            state.set(next);
        }
    }
}

impl<S: Clone> Clone for Replica<S> {
    fn clone(&self) -> Self {
        Self::new(self.seat.clone())
    }
}

/// The number of calls under way, by weight.
impl<S> Load for Replica<S> {
    type Metric = f64;

    fn load(&self) -> f64 {
        self.member().pending() as f64 / f64::from(self.member().weight())
    }
}

impl<S> fmt::Debug for Replica<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replica").field(self.member()).finish()
    }
}

impl<S: Service<Req>, Req> fmt::Debug for ReplicaFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaFuture").finish_non_exhaustive()
    }
}

/// Whether there is no connection any more, of which its set will know in a moment.
fn is_lost<E: AsError>(error: &E) -> bool {
    error.as_error().is_some_and(|error| {
        matches!(
            error.kind(),
            Kind::Closed | Kind::Connection | Kind::Unreachable
        )
    })
}
