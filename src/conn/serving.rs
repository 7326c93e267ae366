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
    collections::{HashMap, VecDeque},
    fmt,
    future::{Future, poll_fn},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

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
    Body, Carry, Encoding, Error, Execution, Kind, Origin, Request, Response,
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
    live: HashMap<Id, Live>,
    /// Handlers that run in tasks.
    tasks: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    serial: u64,
    /// Not later than the first deadline of a live request.
    earliest: Tick,
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
    waiting: usize,
    waiting_bytes: usize,
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
            },
            clock,
            live: HashMap::new(),
            tasks: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            serial: 0,
            earliest: Tick::NEVER,
        }
    }

    /// Whether nothing of the peer's is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.running() == 0 && self.waiting.is_empty()
    }

    /// How many handlers run in tasks.
    pub(super) fn running(&self) -> usize {
        self.tasks
    }

    /// How many handlers run in tasks and requests wait.
    pub(super) fn under_way(&self) -> usize {
        self.tasks + self.waiting.len()
    }

    /// Not later than the first deadline of a request under way.
    pub(super) fn earliest(&self) -> Tick {
        self.earliest
    }

    /// Takes a request: runs it as far as it goes now, lets it wait, or answers that it did not start.
    pub(super) fn request(
        &mut self,
        id: Id,
        request: Request<Body>,
        may_start: bool,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) -> Result<(), Violation> {
        if !self.live.is_empty() && self.live.contains_key(&id) {
            return Err(Violation::new(format!("the id {id:?} is in use")));
        }
        let reply = Reply::To(id, request.encoding());
        self.arrive(reply, request, may_start, cx, answers);
        Ok(())
    }

    /// Takes a message without an answer. False if it was dropped because too many wait.
    pub(super) fn one_way(
        &mut self,
        request: Request<Body>,
        may_start: bool,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) -> bool {
        self.arrive(Reply::Nobody, request, may_start, cx, answers)
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
                Cancelled::Waiting
            }
        }
    }

    /// A task has answered.
    pub(super) fn finished(&mut self, reply: Reply) {
        self.tasks -= 1;
        if let Reply::To(id, _) = reply {
            self.live.remove(&id);
        }
    }

    /// Starts requests that wait, while the service is ready.
    pub(super) fn start_waiting(
        &mut self,
        may_start: bool,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) {
        while may_start
            && !self.waiting.is_empty()
            && self.running() < self.limits.handlers
            && let Poll::Ready(ready) = self.poll_ready(cx)
            && let Some(Waiting {
                serial,
                reply,
                request,
            }) = self.waiting.pop_front()
        {
            self.waiting_bytes -= request.body().len();
            if let Reply::To(id, _) = reply {
                let live = self.live.get(&id);
                if live.is_none_or(|live| live.serial != serial) {
                    continue;
                }
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
                return false;
            };
            stop.stop(Kind::Timeout);
            true
        });
        let deadlines = self.live.values().map(|live| live.deadline);
        self.earliest = deadlines.min().unwrap_or(Tick::NEVER);
    }

    fn arrive(
        &mut self,
        reply: Reply,
        mut request: Request<Body>,
        may_start: bool,
        cx: &mut Context<'_>,
        answers: &mut Answers,
    ) -> bool {
        request.set_connection(self.connection.clone());
        if may_start && self.waiting.is_empty() && self.running() < self.limits.handlers {
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
        let bytes = request.body().len();
        if self.waiting.len() >= waiting || self.waiting_bytes.saturating_add(bytes) > waiting_bytes
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
            request,
        });
        true
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
        for live in self.live.values() {
            if let Some(stop) = &live.stop {
                stop.stop(Kind::Cancelled);
            }
        }
        self.live.clear();
    }
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
