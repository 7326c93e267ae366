//! A call of one route.

use std::{
    fmt,
    future::Future,
    mem,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    runtime::Handle,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    route::{Answering, Leaf, MAX_BLOCKING, Run, Started, Target},
    turns::Turn,
};
use crate::{Error, Execution, Kind, Request, Response};

/// The answer of a route. Nothing is done before it is first polled.
///
/// To drop it drops the handler. A [`blocking`](super::Handler::blocking) one that has begun runs to its end.
#[must_use = "a call does nothing until its future is polled"]
pub struct RouteFuture {
    state: State,
    /// Left when the handler is gone. One that blocks takes it along.
    turn: Option<Turn>,
}

enum State {
    /// The arguments have not been looked at.
    New(Call),
    /// The future of an `async` handler, or of a service.
    Running(Answering),
    /// A handler on a thread that may block.
    Blocking(Blocking),
    /// There is an answer, until it is taken.
    Ended(Option<Result<Response, Error>>),
}

struct Call {
    leaf: Arc<Leaf>,
    request: Request,
    /// Whether the poll in which the request came in was let pass.
    moved: bool,
}

/// A handler that has a thread, or waits for one. When this goes before it has begun, so does its call: what is left
/// in the runtime's queue is empty.
struct Blocking {
    handler: JoinHandle<Result<Response, Error>>,
    call: Arc<Mutex<Option<Unbegun>>>,
}

type Unbegun = (Call, Option<Turn>);

impl RouteFuture {
    pub(super) fn new(target: &Target, request: Request) -> Self {
        match target {
            Target::Handler(leaf) => Self {
                turn: leaf.conduct.ordered.then(|| Turn::of(&request)).flatten(),
                state: State::New(Call {
                    leaf: leaf.clone(),
                    request,
                    moved: false,
                }),
            },
            Target::Service(service) => Self {
                turn: None,
                state: State::Running(service.answer(request)),
            },
        }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: State::Ended(Some(Err(error))),
            turn: None,
        }
    }

    /// Begins when it may, and polls for the first time.
    fn poll_new(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response, Error>> {
        let State::New(call) = &mut self.state else {
            unreachable!("only a new call is polled as one")
        };
        if let Some(turn) = &self.turn {
            ready!(turn.poll(cx));
        }
        ready!(call.poll_moved(cx));
        if let Run::Blocking = call.leaf.conduct.run {
            return self.block(cx);
        }
        let begun = call.leaf.pace.begin();
        // Where the request is, for each way that it goes is a copy of it.
        let (poll, handler) = match call.leaf.endpoint.start(&mut call.request) {
            Started::Done(result) => (Poll::Ready(result), None),
            Started::Later(mut handler) => (handler.as_mut().poll(cx), Some(handler)),
        };
        call.leaf.pace.end(begun);
        if let (Poll::Pending, Some(handler)) = (&poll, handler) {
            self.state = State::Running(handler);
        }
        poll
    }

    /// Gives the handler a thread that may block.
    fn block(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response, Error>> {
        if let State::New(call) = mem::replace(&mut self.state, State::Ended(None)) {
            self.state = call.block(self.turn.take());
        }
        Pin::new(self).poll(cx)
    }
}

impl Future for RouteFuture {
    type Output = Result<Response, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(match &mut self.state {
            State::New(_) => self.poll_new(cx),
            State::Running(handler) => handler.as_mut().poll(cx),
            State::Blocking(handler) => handler.poll(cx),
            State::Ended(result) => {
                Poll::Ready(result.take().expect("not polled after it was ready"))
            }
        });
        self.state = State::Ended(None);
        self.turn = None;
        Poll::Ready(result)
    }
}

impl Call {
    /// Pending once if the handler is not to begin in the poll in which its request came in. Whoever polls a
    /// call for the first time – a connection, in place – then gives it a task.
    fn poll_moved(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let moves = match self.leaf.conduct.run {
            Run::InPlace => self.leaf.pace.is_slow(),
            Run::Spawned => true,
            Run::Blocking => false,
        };
        if self.moved || !moves {
            return Poll::Ready(());
        }
        self.moved = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn block(self, turn: Option<Turn>) -> State {
        let Ok(place) = self.leaf.threads.clone().try_acquire_owned() else {
            let text = format!("{MAX_BLOCKING} calls of the route have a thread or wait for one");
            let error = Error::new(Kind::Overflow, text).with_execution(Execution::NotStarted);
            return State::Ended(Some(Err(error)));
        };
        let call = Arc::new(Mutex::new(Some((self, turn))));
        let called = call.clone();
        let handler = spawn_blocking(move || {
            let _place = place;
            let Some((mut call, _turn)) = take(&called) else {
                // Nobody is there to be told.
                return Ok(Response::default());
            };
            match call.leaf.endpoint.start(&mut call.request) {
                Started::Done(result) => result,
                Started::Later(handler) => Handle::current().block_on(handler),
            }
        });
        State::Blocking(Blocking { handler, call })
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Blocking {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response, Error>> {
        let ended = ready!(Pin::new(&mut self.handler).poll(cx));
        Poll::Ready(ended.unwrap_or_else(|error| {
            match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(stopped) => Err(Error::new(Kind::Unavailable, "the runtime shuts down")
                    .with_execution(Execution::NotStarted)
                    .with_source(stopped)),
            }
        }))
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        // Dropped past the lock: it may run code of the user's.
        let _call = take(&self.call);
    }
}

impl fmt::Debug for RouteFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteFuture")
            .field(
                "state",
                &match self.state {
                    State::New(_) => "new",
                    State::Running(_) => "running",
                    State::Blocking(_) => "blocking",
                    State::Ended(_) => "ended",
                },
            )
            .field("turn", &self.turn)
            .finish()
    }
}
