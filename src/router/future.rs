//! A call of one route.

use std::{
    fmt,
    future::{Future, poll_fn},
    mem,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{
    route::{Answering, Conduct, Leaf, MAX_BLOCKING, Run, Started, Target},
    turns::Turn,
};
use crate::{Error, Execution, Kind, Request, Response};

/// The answer of a route. A handler that runs [in place](super#where-a-handler-runs) has been called, so that one that
/// is not `async` has come to its end; any other is called when this is polled.
///
/// To drop it drops the handler. A [`blocking`](super::Handler::blocking) one that has begun runs to its end.
#[must_use = "a call does nothing more until its future is polled"]
pub struct RouteFuture(State);

/// Without the request: futures are moved by all layers around them.
enum State {
    /// The future of an `async` handler, of a service, or of a call whose handler is elsewhere.
    Running(Answering),
    /// The future of an `async` handler, whose first poll is to be timed.
    Timed(Timed),
    /// There is an answer, until it is taken.
    Ended(Option<Result<Response, Error>>),
}

struct Timed {
    handler: Answering,
    leaf: Arc<Leaf>,
    /// How long it took to find the arguments and to call the function.
    called: Duration,
}

struct Call {
    leaf: Arc<Leaf>,
    request: Request,
}

/// A handler that has a thread, or waits for one. When this goes before it has begun, so does its call: what is left
/// in the runtime's queue is empty.
struct Blocking {
    handler: JoinHandle<Result<Response, Error>>,
    call: Arc<Mutex<Option<Unbegun>>>,
}

type Unbegun = (Call, Option<Turn>);

impl RouteFuture {
    /// Inlined, as [`start`] is: each function on the way would copy the request.
    #[inline(always)]
    pub(super) fn new(target: &Target, mut request: Request) -> Self {
        Self(match target {
            Target::Handler(leaf) if leaf.conduct == Conduct::IN_PLACE && !leaf.pace.is_slow() => {
                start(leaf, &mut request)
            }
            Target::Handler(leaf) => {
                let turn = leaf.conduct.ordered.then(|| Turn::of(&request)).flatten();
                let leaf = leaf.clone();
                State::Running(Box::pin(run(Call { leaf, request }, turn)))
            }
            Target::Service(service) => State::Running(service.answer(request)),
        })
    }

    pub(super) fn failed(error: Error) -> Self {
        Self(State::Ended(Some(Err(error))))
    }

    /// Polls for the first time.
    fn poll_timed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response, Error>> {
        let State::Timed(mut timed) = mem::replace(&mut self.0, State::Ended(None)) else {
            unreachable!("only a call that is timed is polled as one")
        };
        let begun = Instant::now();
        let poll = timed.handler.as_mut().poll(cx);
        timed.leaf.pace.took(timed.called + begun.elapsed());
        self.0 = State::Running(timed.handler);
        poll
    }
}

impl Future for RouteFuture {
    type Output = Result<Response, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Running(handler) => handler.as_mut().poll(cx),
            State::Timed(_) => self.poll_timed(cx),
            State::Ended(result) => {
                Poll::Ready(result.take().expect("not polled after it was ready"))
            }
        }
    }
}

/// Calls a handler where its request is.
#[inline(always)]
fn start(leaf: &Arc<Leaf>, request: &mut Request) -> State {
    let begun = leaf.pace.begin();
    let started = leaf.endpoint.start(request);
    match (started, begun.map(|begun| begun.elapsed())) {
        (Started::Done(result), called) => {
            if let Some(called) = called {
                leaf.pace.took(called);
            }
            State::Ended(Some(result))
        }
        (Started::Later(handler), None) => State::Running(handler),
        (Started::Later(handler), Some(called)) => State::Timed(Timed {
            handler,
            leaf: leaf.clone(),
            called,
        }),
    }
}

/// A call whose handler may not begin in its turn, or where its request comes in. The turn is left when the handler is
/// gone. One that blocks takes it along.
async fn run(mut call: Call, turn: Option<Turn>) -> Result<Response, Error> {
    if let Some(turn) = &turn {
        poll_fn(|cx| turn.poll(cx)).await;
    }
    let moves = match call.leaf.conduct.run {
        Run::InPlace => call.leaf.pace.is_slow(),
        Run::Spawned => true,
        Run::Blocking => return call.block(turn)?.await,
    };
    if moves {
        move_off().await;
    }
    let state = start(&call.leaf, &mut call.request);
    drop(call);
    RouteFuture(state).await
}

/// Pending once. Whoever polls a call for the first time – a connection, in place – then gives it a task.
async fn move_off() {
    let mut moved = false;
    poll_fn(|cx| match mem::replace(&mut moved, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

impl Call {
    fn block(self, turn: Option<Turn>) -> Result<Blocking, Error> {
        let Ok(place) = self.leaf.threads.clone().try_acquire_owned() else {
            let text = format!("{MAX_BLOCKING} calls of the route have a thread or wait for one");
            let error = Error::new(Kind::Overflow, text);
            return Err(error.with_execution(Execution::NotStarted));
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
        Ok(Blocking { handler, call })
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Future for Blocking {
    type Output = Result<Response, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
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
        let state = match &self.0 {
            State::Running(_) | State::Timed(_) => "running",
            State::Ended(_) => "ended",
        };
        f.debug_tuple("RouteFuture").field(&state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layers around a router move it as often as there are of them.
    #[test]
    fn the_answer_of_a_route_is_a_cache_line() {
        assert!(size_of::<RouteFuture>() <= 64);
    }
}
