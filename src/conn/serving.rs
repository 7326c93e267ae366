//! The calls that the peer has opened: from a decoded request to the user's service and back.
//!
//! ```text
//!              ready            pending
//!   request ──────────▶ polled ─────────▶ a task of its own ──▶ answer
//!      │  service busy   once │ ready
//!      └──▶ waiting ──────────┴──────────▶ answer, in the write of its batch
//! ```
//!
//! A handler is polled once in place, in a slot that is used again and again: most are ready, and cost no
//! task and no allocation. It gets a waker that does nothing and no part of the driver's cooperative budget:
//! with the budget, every handler behind the first hundred would look pending. One that is pending moves, in
//! its slot, to a task, where it is polled again with a real waker. A handler that blocks its thread blocks
//! its connection.

use std::{
    collections::BTreeMap,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Extensions;
use steeple_layers::moment::Moment;
use tower_service::Service;

use super::{
    clock::{Clock, Tick},
    expansion::{Expanded, Expansion},
    job::{Job, Reply, Slot, Stop, begin_slot, panicked},
    options::{Options, Spawner},
    quota::Share,
    service::RpcService,
    shared::Shared,
    told::told,
    waiting::{Serial, Waiting},
};
use crate::{
    Body, Encoding, Error, Execution, Kind, Origin, Request, Response,
    wire::{Id, Violation},
};

/// The serving side of one connection.
pub(super) struct Serving<S: Service<Request<Body>>> {
    service: S,
    slot: Slot<S::Future>,
    shared: Arc<Shared>,
    connection: Arc<Extensions>,
    spawner: Spawner,
    limits: Limits,
    /// Of what connections share.
    share: Share,
    expansion: Expansion,
    clock: Clock,
    /// Requests that have no answer yet and whose handlers did not end where they began.
    live: BTreeMap<Id, Live>,
    /// The tasks of handlers whose answer nobody waits for.
    one_ways: BTreeMap<u64, Arc<Stop>>,
    last_one_way: u64,
    /// Handlers that run in tasks.
    tasks: usize,
    waiting: Waiting,
    /// Bytes of answers that the stream has not taken.
    unsent: usize,
    /// Whether there is room for a handler that was not there when those that wait were last looked at.
    has_new_room: bool,
    /// Not later than the first deadline of a live request.
    earliest: Tick,
    /// When the clock was last looked at, and how many requests with a deadline were started since.
    looked: Tick,
    unlooked: u32,
}

/// What was answered without a task.
pub(super) type Answers = Vec<(Reply, Result<Response<Body>, Error>)>;

/// What became of a request that was taken back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// Its task will answer.
    Stopping,
    /// It waited, and is to be answered.
    Waiting,
    /// There was none.
    Unknown,
}

#[derive(Debug)]
struct Limits {
    handlers: usize,
    unsent: usize,
}

#[derive(Debug)]
struct Live {
    deadline: Tick,
    at: At,
}

/// Where a request is.
#[derive(Debug)]
enum At {
    /// In a task that can be stopped.
    Task(Arc<Stop>),
    /// Among those that wait.
    Waiting(Serial),
}

/// Requests that waited and are started in one turn. More would keep answers from the peer that are ready.
const STARTS_PER_TURN: usize = 256;

/// Requests with a deadline that are started between two looks at the clock. Those that were read together may stand
/// behind handlers that take long where they begin; a look for each would cost as much as a short handler.
const STARTS_PER_LOOK: u32 = 8;

impl<S> Serving<S>
where
    S: RpcService,
{
    pub(super) fn new(
        service: S,
        shared: Arc<Shared>,
        connection: Arc<Extensions>,
        clock: Clock,
        options: &Options,
    ) -> Self {
        Self {
            service,
            slot: Box::pin(None),
            shared,
            connection,
            spawner: options.spawn.clone(),
            limits: Limits {
                handlers: options.max_handlers,
                unsent: options.max_unsent,
            },
            share: Share::new(options.quota.clone()),
            expansion: Expansion::new(options.quota.as_ref()),
            clock,
            live: BTreeMap::new(),
            one_ways: BTreeMap::new(),
            last_one_way: 0,
            tasks: 0,
            waiting: Waiting::new(options),
            unsent: 0,
            has_new_room: false,
            earliest: Tick::NEVER,
            looked: clock.tick(Moment::now()),
            unlooked: 0,
        }
    }

    /// Whether nothing of the peer's is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way() == 0
    }

    /// Whether a request waits for the service.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether an answer is owed to the peer, or a message of it has not been looked at.
    pub(super) fn is_owing(&self) -> bool {
        !self.live.is_empty() || self.is_waiting()
    }

    /// How many handlers run in tasks.
    pub(super) fn running(&self) -> usize {
        self.tasks
    }

    /// How many handlers run in tasks and requests wait.
    pub(super) fn under_way(&self) -> usize {
        self.tasks + self.waiting.len()
    }

    /// Whether there is room for a handler that was not there when those that wait were last looked at.
    pub(super) fn has_new_room(&self) -> bool {
        self.has_new_room && !self.waiting.is_empty()
    }

    /// Not later than the first deadline of a request under way.
    pub(super) fn earliest(&self) -> Tick {
        self.earliest
    }

    /// Says how many bytes of answers the stream has not taken.
    pub(super) fn set_unsent(&mut self, bytes: usize) {
        self.has_new_room |= bytes < self.unsent;
        self.unsent = bytes;
        self.has_new_room |= self.share.set_unsent(bytes);
    }

    /// The stream has taken this many bytes.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.unsent = self.unsent.saturating_sub(bytes);
    }

    /// Refuses an id that has no answer yet.
    pub(super) fn check_id(&self, id: Id) -> Result<(), Violation> {
        match !self.live.is_empty() && self.live.contains_key(&id) {
            true => Err(Violation::new(format!("the id {id:?} is in use"))),
            false => Ok(()),
        }
    }

    /// Takes a request: runs it as far as it goes now, lets it wait, or answers that it did not start.
    ///
    /// Inlined, as what it calls is: each function on the way would copy the request.
    #[inline(always)]
    pub(super) fn request(
        &mut self,
        id: Id,
        request: Request<Body>,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) -> Result<(), Violation> {
        self.check_id(id)?;
        let reply = Reply::To(id, request.encoding());
        self.arrive(reply, request, cx, answers);
        Ok(())
    }

    /// Takes a message without an answer. As a request; what is answered is counted, and heard by nobody.
    pub(super) fn one_way(
        &mut self,
        request: Request<Body>,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) {
        self.last_one_way += 1;
        self.arrive(Reply::Nobody(self.last_one_way), request, cx, answers);
    }

    /// Takes a request back.
    pub(super) fn cancel(&mut self, id: Id) -> Cancelled {
        match self.live.get(&id).map(|live| &live.at) {
            None => Cancelled::Unknown,
            Some(At::Task(stop)) => {
                stop.stop(Kind::Cancelled);
                Cancelled::Stopping
            }
            Some(At::Waiting(serial)) => {
                self.waiting.remove(*serial);
                self.live.remove(&id);
                self.share.set_waiting(self.waiting.held());
                Cancelled::Waiting
            }
        }
    }

    /// A task has answered.
    pub(super) fn finished(&mut self, reply: Reply) {
        self.tasks -= 1;
        self.has_new_room = true;
        match reply {
            Reply::To(id, _) => drop(self.live.remove(&id)),
            Reply::Nobody(serial) => drop(self.one_ways.remove(&serial)),
        }
    }

    /// Starts some of the requests that wait, while the service is ready.
    pub(super) fn start_waiting(&mut self, cx: &mut Context<'_>, answers: &mut Answers) {
        self.has_new_room = false;
        for left in (0..STARTS_PER_TURN).rev() {
            if self.waiting.is_empty() || !self.has_room() {
                break;
            }
            let Poll::Ready(ready) = self.poll_leave(cx) else {
                break;
            };
            let Some((reply, request)) = self.waiting.pop() else {
                break;
            };
            self.has_new_room = left == 0;
            if let Reply::To(id, _) = reply {
                self.live.remove(&id);
            }
            match ready {
                Ok(()) => self.start(reply, request, answers),
                Err(error) => answers.push((reply, Err(error))),
            }
        }
        self.share.set_waiting(self.waiting.held());
        // Nobody else waits for what is of no use here before the next turn.
        let may_start = !self.waiting.is_empty() && self.has_room();
        self.share.settle(may_start);
    }

    /// Ends the requests whose deadline has passed.
    pub(super) fn expire(&mut self, now: Tick, answers: &mut Answers) {
        if self.earliest > now {
            return;
        }
        let waiting = &mut self.waiting;
        self.live.retain(|id, live| {
            if live.deadline > now {
                return true;
            }
            live.deadline = Tick::NEVER;
            match &live.at {
                At::Task(stop) => {
                    stop.stop(Kind::Timeout);
                    true
                }
                At::Waiting(serial) => {
                    waiting.remove(*serial);
                    answers.push((Reply::To(*id, Encoding::RAW), Err(late())));
                    false
                }
            }
        });
        self.share.set_waiting(self.waiting.held());
        let deadlines = self.live.values().map(|live| live.deadline);
        self.earliest = deadlines.min().unwrap_or(Tick::NEVER);
    }

    #[inline(always)]
    fn arrive(
        &mut self,
        reply: Reply,
        mut request: Request<Body>,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) {
        request.set_connection(self.connection.clone());
        match self.poll_start(cx) {
            Poll::Ready(Ok(())) => self.start(reply, request, answers),
            Poll::Ready(Err(error)) => answers.push((reply, Err(error))),
            Poll::Pending => self.wait(reply, request, answers),
        }
    }

    /// Whether a request that has just come may start, behind none that waits.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.waiting.is_empty() && self.has_room() {
            true => self.poll_leave(cx),
            false => Poll::Pending,
        }
    }

    /// Whether another handler may start: not while too many run, or too much of their answers is unsent.
    fn has_room(&self) -> bool {
        self.tasks < self.limits.handlers
            && self.unsent < self.limits.unsent
            && self.share.has_room()
    }

    /// Gets leave to start a handler: of all connections together first, for that can be given back.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.share.poll_leave(cx))?;
        self.poll_ready(cx)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let poll = catch_unwind(AssertUnwindSafe(|| {
            let poll = self.service.poll_ready(cx);
            poll.map_err(|error| told(error.into()))
        }));
        let refused = match poll {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
            Ok(Poll::Ready(Err(error))) => error,
            Err(panic) => panicked(panic),
        };
        // No request has reached the service yet, whatever its readiness died of.
        let error = refused
            .with_origin(Origin::Local)
            .with_execution(Execution::NotStarted);
        Poll::Ready(Err(error))
    }

    /// Lets a request wait for the service, or refuses it.
    fn wait(&mut self, reply: Reply, request: Request<Body>, answers: &mut Answers) {
        if let Err(error) = self.share.check_waiting() {
            return answers.push((reply, Err(error)));
        }
        let deadline = self.deadline(&request);
        match self.waiting.push(reply, request) {
            Ok(serial) => {
                self.share.set_waiting(self.waiting.held());
                self.enter(reply, deadline, At::Waiting(serial));
            }
            Err((reply, error)) => answers.push((reply, Err(error))),
        }
    }

    /// Calls the service, which is ready, and polls the handler once.
    #[inline(always)]
    fn start(&mut self, reply: Reply, mut request: Request<Body>, answers: &mut Answers) {
        let deadline = self.deadline(&request);
        if deadline != Tick::NEVER && self.is_late(deadline) {
            return answers.push((reply, Err(late())));
        }
        let expanded = match self.expansion.expand(request.body_mut()) {
            Ok(expanded) => expanded,
            Err(error) => return answers.push((reply, Err(error))),
        };
        let service = &mut self.service;
        let poll = begin_slot(&mut self.slot, || service.call(request));
        match poll {
            Poll::Ready(mut result) => {
                self.shared.compress_answer(&mut result);
                self.unsent += result.as_ref().map_or(0, |response| response.body().len());
                answers.push((reply, result));
            }
            Poll::Pending => self.spawn(reply, deadline, expanded),
        }
    }

    /// Gives the handler in the slot, which is pending, a task.
    #[inline(never)]
    fn spawn(&mut self, reply: Reply, deadline: Tick, expanded: Option<Expanded>) {
        let slot = mem::replace(&mut self.slot, Box::pin(None));
        let stop = Arc::new(Stop::default());
        let held = (self.share.take_leave(), expanded);
        self.tasks += 1;
        self.enter(reply, deadline, At::Task(stop.clone()));
        let job = Job::new(slot, reply, stop, self.shared.clone(), held);
        self.spawner.spawn(job);
    }

    /// Remembers a request that is not answered where it began.
    fn enter(&mut self, reply: Reply, deadline: Tick, at: At) {
        match (reply, at) {
            (Reply::To(id, _), at) => {
                self.earliest = self.earliest.min(deadline);
                self.live.insert(id, Live { deadline, at });
            }
            (Reply::Nobody(number), At::Task(stop)) => drop(self.one_ways.insert(number, stop)),
            (Reply::Nobody(_), At::Waiting(_)) => {}
        }
    }

    /// Whether a deadline has passed, as of the last look at the clock.
    fn is_late(&mut self, deadline: Tick) -> bool {
        self.unlooked += 1;
        if self.unlooked == STARTS_PER_LOOK {
            self.unlooked = 0;
            self.looked = self.clock.tick(Moment::now());
        }
        deadline <= self.looked
    }

    fn deadline(&self, request: &Request<Body>) -> Tick {
        self.clock.deadline(request.cx().deadline_moment())
    }
}

/// What is answered to a request whose deadline passed before its handler began.
fn late() -> Error {
    let error = Error::new(
        Kind::Timeout,
        "the deadline passed before the handler began",
    );
    error.with_execution(Execution::NotStarted)
}

impl<S: Service<Request<Body>>> Serving<S> {
    /// Ends everything: nobody is left to be answered. Handlers whose answer nobody waited for run on if the
    /// connection ended in order: their messages were delivered.
    pub(super) fn stop_all(&mut self, orderly: bool) {
        self.waiting.clear();
        self.share = Share::new(None);
        for live in self.live.values() {
            if let At::Task(stop) = &live.at {
                stop.stop(Kind::Cancelled);
            }
        }
        if !orderly {
            let one_ways = self.one_ways.values();
            one_ways.for_each(|stop| stop.stop(Kind::Cancelled));
        }
        self.live.clear();
        self.one_ways.clear();
    }
}

impl<S: Service<Request<Body>>> fmt::Debug for Serving<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("live", &self.live.len())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
