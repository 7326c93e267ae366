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
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fmt,
    future::{Future, poll_fn},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::Extensions;
use tokio::task::coop;
use tower_service::Service;

use super::{
    clock::{Clock, Tick},
    job::{Job, Reply, Slot, Stop, panicked, poll_slot},
    options::{Options, Spawner},
    shared::Shared,
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
    spawn: Spawner,
    limits: Limits,
    clock: Clock,
    /// Requests that have no answer yet and whose handlers did not end where they began.
    live: BTreeMap<Id, Live>,
    /// Handlers that run in tasks.
    tasks: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// How many of those that wait have been answered without a start.
    stale: usize,
    serial: u64,
    /// Bytes of answers that the stream has not taken.
    unsent: usize,
    /// Whether there is room for a handler that was not there when those that wait were last looked at.
    has_new_room: bool,
    /// Not later than the first deadline of a live request.
    earliest: Tick,
}

/// What an entry of metadata costs beside its name and its value.
const METADATA_ENTRY: usize = size_of::<(Cow<'static, str>, Bytes)>();

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
    waiting: usize,
    waiting_bytes: usize,
    unsent: usize,
}

#[derive(Debug)]
struct Live {
    serial: u64,
    deadline: Tick,
    /// The task, if there is one; otherwise the request waits.
    stop: Option<Arc<Stop>>,
}

#[derive(Debug)]
struct Waiting {
    /// Tells a request from a younger one with the same id.
    serial: u64,
    reply: Reply,
    bytes: usize,
    request: Request<Body>,
}

impl<S> Serving<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
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
            spawn: options.spawn.clone(),
            limits: Limits {
                handlers: options.max_handlers,
                waiting: options.max_waiting,
                waiting_bytes: options.max_waiting_bytes,
                unsent: options.max_unsent,
            },
            clock,
            live: BTreeMap::new(),
            tasks: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            stale: 0,
            serial: 0,
            unsent: 0,
            has_new_room: false,
            earliest: Tick::NEVER,
        }
    }

    /// Whether nothing of the peer's is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way() == 0
    }

    /// How many handlers run in tasks.
    pub(super) fn running(&self) -> usize {
        self.tasks
    }

    /// How many handlers run in tasks and requests wait.
    pub(super) fn under_way(&self) -> usize {
        self.tasks + self.waiting.len() - self.stale
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
        self.unsent = bytes;
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

    /// Takes a message without an answer. False if it was dropped because too many wait.
    pub(super) fn one_way(
        &mut self,
        request: Request<Body>,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) -> bool {
        self.arrive(Reply::Nobody, request, cx, answers)
    }

    /// Takes a request back.
    pub(super) fn cancel(&mut self, id: Id) -> Cancelled {
        match self.live.get(&id) {
            None => Cancelled::Unknown,
            Some(Live {
                stop: Some(stop), ..
            }) => {
                stop.stop(Kind::Cancelled);
                Cancelled::Stopping
            }
            Some(Live { stop: None, .. }) => {
                self.live.remove(&id);
                self.forget_waiting(1);
                Cancelled::Waiting
            }
        }
    }

    /// A task has answered.
    pub(super) fn finished(&mut self, reply: Reply) {
        self.tasks -= 1;
        self.has_new_room = true;
        if let Reply::To(id, _) = reply {
            self.live.remove(&id);
        }
    }

    /// Starts requests that wait, while the service is ready.
    pub(super) fn start_waiting(&mut self, cx: &mut Context<'_>, answers: &mut Answers) {
        self.has_new_room = false;
        while !self.waiting.is_empty()
            && self.has_room()
            && let Poll::Ready(ready) = self.poll_ready(cx)
            && let Some(waiting) = self.waiting.pop_front()
        {
            self.waiting_bytes -= waiting.bytes;
            if !waiting.is_live(&self.live) {
                self.stale -= 1;
                continue;
            }
            let Waiting { reply, request, .. } = waiting;
            if let Reply::To(id, _) = reply {
                self.live.remove(&id);
            }
            match ready {
                Ok(()) => self.start(reply, request, answers),
                Err(error) => answers.push((reply, Err(error))),
            }
        }
    }

    /// Ends the requests whose deadline has passed.
    pub(super) fn expire(&mut self, now: Tick, answers: &mut Answers) {
        if self.earliest > now {
            return;
        }
        let mut stale = 0;
        self.live.retain(|id, live| {
            if live.deadline > now {
                return true;
            }
            live.deadline = Tick::NEVER;
            let Some(stop) = &live.stop else {
                let text = "the deadline passed before the handler began";
                answers.push((
                    Reply::To(*id, Encoding::RAW),
                    Err(not_started(Kind::Timeout, text)),
                ));
                stale += 1;
                return false;
            };
            stop.stop(Kind::Timeout);
            true
        });
        self.forget_waiting(stale);
        let deadlines = self.live.values().map(|live| live.deadline);
        self.earliest = deadlines.min().unwrap_or(Tick::NEVER);
    }

    fn arrive(
        &mut self,
        reply: Reply,
        mut request: Request<Body>,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) -> bool {
        request.set_connection(self.connection.clone());
        if self.waiting.is_empty() && self.has_room() {
            match self.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    self.start(reply, request, answers);
                    return true;
                }
                Poll::Ready(Err(error)) => {
                    answers.push((reply, Err(error)));
                    return true;
                }
                Poll::Pending => {}
            }
        }
        self.wait(reply, request, answers)
    }

    /// Whether another handler may start: not while too many run, or too much of their answers is unsent.
    fn has_room(&self) -> bool {
        self.tasks < self.limits.handlers && self.unsent < self.limits.unsent
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let poll = catch_unwind(AssertUnwindSafe(|| self.service.poll_ready(cx)));
        let refused = match poll {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
            Ok(Poll::Ready(Err(error))) => error.into(),
            Err(panic) => panicked(panic),
        };
        // No request has reached the service yet, whatever its readiness died of.
        let error = refused
            .with_origin(Origin::Local)
            .with_execution(Execution::NotStarted);
        Poll::Ready(Err(error))
    }

    /// Lets a request wait for the service, or refuses it.
    fn wait(&mut self, reply: Reply, request: Request<Body>, answers: &mut Answers) -> bool {
        let Limits {
            waiting,
            waiting_bytes,
            ..
        } = self.limits;
        let bytes = weight(&request);
        if self.waiting.len() - self.stale >= waiting
            || self.waiting_bytes.saturating_add(bytes) > waiting_bytes
        {
            let text =
                format!("max_waiting of {waiting} requests or {waiting_bytes} bytes is reached");
            answers.push((reply, Err(not_started(Kind::Overflow, text))));
            return false;
        }
        self.serial += 1;
        self.waiting_bytes += bytes;
        self.enter(reply, self.deadline(&request), None);
        self.waiting.push_back(Waiting {
            serial: self.serial,
            reply,
            bytes,
            request,
        });
        true
    }

    /// Takes note that some of those that wait were answered. Their requests stay in the queue until they are
    /// as many as the others, so that dropping them costs no more than taking them in did.
    fn forget_waiting(&mut self, answered: usize) {
        self.stale += answered;
        if self.stale * 2 < self.waiting.len() {
            return;
        }
        self.stale = 0;
        let (live, bytes) = (&self.live, &mut self.waiting_bytes);
        self.waiting.retain(|waiting| {
            let is_live = waiting.is_live(live);
            *bytes -= if is_live { 0 } else { waiting.bytes };
            is_live
        });
    }

    /// Calls the service, which is ready, and polls the handler once.
    fn start(&mut self, reply: Reply, request: Request<Body>, answers: &mut Answers) {
        let deadline = self.deadline(&request);
        let future = match catch_unwind(AssertUnwindSafe(|| self.service.call(request))) {
            Ok(future) => future,
            Err(panic) => return answers.push((reply, Err(panicked(panic)))),
        };
        self.slot.set(Some(future));
        let slot = &mut self.slot;
        let handler = pin!(coop::unconstrained(poll_fn(|cx| poll_slot(slot, cx))));
        if let Poll::Ready(result) = handler.poll(&mut Context::from_waker(Waker::noop())) {
            self.unsent += result.as_ref().map_or(0, |response| response.body().len());
            return answers.push((reply, result));
        }
        let slot = mem::replace(&mut self.slot, Box::pin(None));
        let stop = Arc::new(Stop::default());
        self.enter(reply, deadline, Some(stop.clone()));
        self.spawn
            .spawn(Job::new(slot, reply, stop, self.shared.clone()));
    }

    /// Remembers a request that is not answered where it began.
    fn enter(&mut self, reply: Reply, deadline: Tick, stop: Option<Arc<Stop>>) {
        self.tasks += usize::from(stop.is_some());
        if let Reply::To(id, _) = reply {
            self.earliest = self.earliest.min(deadline);
            let serial = self.serial;
            self.live.insert(
                id,
                Live {
                    serial,
                    deadline,
                    stop,
                },
            );
        }
    }

    fn deadline(&self, request: &Request<Body>) -> Tick {
        let deadline = request.cx().deadline();
        deadline.map_or(Tick::NEVER, |at| self.clock.deadline(at))
    }
}

impl<S: Service<Request<Body>>> Serving<S> {
    /// Ends everything: nobody is left to be answered.
    pub(super) fn stop_all(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.stale = 0;
        for live in self.live.values() {
            if let Some(stop) = &live.stop {
                stop.stop(Kind::Cancelled);
            }
        }
        self.live.clear();
    }
}

impl Waiting {
    /// Whether nobody has answered it, of those that have no answer yet.
    fn is_live(&self, live: &BTreeMap<Id, Live>) -> bool {
        match self.reply {
            Reply::To(id, _) => live.get(&id).is_some_and(|live| live.serial == self.serial),
            Reply::Nobody => true,
        }
    }
}

/// The bytes that a request holds while it waits, about.
fn weight(request: &Request<Body>) -> usize {
    let entries = request.metadata().iter();
    let entries = entries.map(|(name, value)| METADATA_ENTRY + name.len() + value.len());
    request.body().len() + entries.sum::<usize>()
}

fn not_started(kind: Kind, text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(kind, text).with_execution(Execution::NotStarted)
}

impl<S: Service<Request<Body>>> fmt::Debug for Serving<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("live", &self.live.len())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
