//! A connection that is dialled when it is needed, and again when it is lost.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};
use tower_service::Service;

use super::Channel;
use crate::{Body, Endpoint, Error, Kind, Request, Response, ResponseFuture, events};

/// One connection to one endpoint, for all clones together.
///
/// A call without a connection waits for one, until its deadline. The dial is a task, so that it is nobody's in
/// particular; it goes on, ever more slowly, while somebody waits. A call that is sent is not sent again.
#[derive(Clone, Debug)]
pub(super) struct Reconnect {
    link: Arc<Link>,
    /// The connection of this clone's last call, which is most often that of its next.
    channel: Option<Channel>,
}

/// The answer to a call, or first the connection for it.
#[derive(Debug)]
pub(super) struct ReconnectFuture(State);

enum State {
    /// There is no connection yet.
    Connecting(Connected, Option<Request<Body>>),
    /// The call was made.
    Answering(ResponseFuture),
    /// No call will be made.
    Failed(Option<Error>),
}

/// Whatever makes connections, its types forgotten.
pub(super) type Connect = Box<dyn FnMut(Endpoint) -> Connected + Send>;

type Connected = Pin<Box<dyn Future<Output = Result<Channel, Error>> + Send>>;

struct Link {
    endpoint: Endpoint,
    connect: Mutex<Connect>,
    state: Mutex<LinkState>,
}

#[derive(Debug, Default)]
struct LinkState {
    channel: Option<Channel>,
    dial: Option<Dial>,
    closed: bool,
}

/// The task that dials. It ends when there is a connection, or nobody waits.
#[derive(Debug)]
struct Dial {
    /// Why the last dial failed. Gone with the task.
    failures: watch::Receiver<Option<Error>>,
    task: AbortHandle,
}

/// How a call finds the link.
enum Found {
    Connection(Channel),
    Dial(watch::Receiver<Option<Error>>),
}

/// The wait after the first dial that fails; it doubles with each further one. A server that restarts is found
/// quickly.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);

/// The longest wait: what a server that comes back is missed for, at most.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// Forgets the types of what makes connections.
pub(super) fn erase<K>(connector: K) -> Connect
where
    K: Service<Endpoint, Response = Channel> + Clone + Send + 'static,
    K::Error: Into<Error>,
    K::Future: Send,
{
    Box::new(move |endpoint| {
        let mut connector = connector.clone();
        Box::pin(async move {
            let ready = poll_fn(|cx| connector.poll_ready(cx)).await;
            ready.map_err(Into::into)?;
            connector.call(endpoint).await.map_err(Into::into)
        })
    })
}

impl Reconnect {
    /// Nothing is dialled yet.
    pub(super) fn new(endpoint: Endpoint, connect: Connect) -> Self {
        Self {
            link: Arc::new(Link {
                endpoint,
                connect: Mutex::new(connect),
                state: Mutex::default(),
            }),
            channel: None,
        }
    }

    /// Dials once, unless there is a connection.
    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.link.connected(None, true).await.map(drop)
    }

    /// The connection, waited for if need be until `deadline`.
    pub(super) async fn channel(
        &mut self,
        deadline: Option<Instant>,
        fail_fast: bool,
    ) -> Result<Channel, Error> {
        if let Some(channel) = self.current()? {
            return Ok(channel.clone());
        }
        self.link.clone().connected(deadline, fail_fast).await
    }

    /// Makes no connection any more. The one there was, if any.
    pub(super) fn end(&self) -> Option<Channel> {
        let mut state = self.link.state();
        state.closed = true;
        if let Some(dial) = state.dial.take() {
            dial.task.abort();
        }
        state.channel.clone()
    }

    /// The connection that there is.
    fn current(&mut self) -> Result<Option<&mut Channel>, Error> {
        if self.channel.as_ref().is_none_or(is_over) {
            self.channel = self.link.state().current()?;
        }
        Ok(self.channel.as_mut())
    }
}

impl Link {
    /// Waits for a connection; with `fail_fast`, for the end of one dial at most.
    async fn connected(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        fail_fast: bool,
    ) -> Result<Channel, Error> {
        loop {
            let mut failures = match self.find()? {
                Found::Connection(channel) => return Ok(channel),
                Found::Dial(failures) => failures,
            };
            // Until the task of the dial has ended.
            loop {
                let changed = match deadline {
                    Some(deadline) => timeout_at(deadline, failures.changed()).await,
                    None => Ok(failures.changed().await),
                };
                let failure = failures.borrow_and_update().clone();
                match (changed, failure) {
                    (Ok(Ok(())), Some(error)) if fail_fast => return Err(error),
                    (Ok(Ok(())), _) => {}
                    (Ok(Err(_)), _) => break,
                    (Err(elapsed), failure) => {
                        let text =
                            format!("no connection to {} before the deadline", self.endpoint);
                        let error = Error::new(Kind::Unreachable, text);
                        return Err(match failure {
                            Some(failure) => error.with_source(failure),
                            None => error.with_source(elapsed),
                        });
                    }
                }
            }
        }
    }

    /// The connection that there is, or the dial for one, which begins if it has not.
    fn find(self: &Arc<Self>) -> Result<Found, Error> {
        let mut state = self.state();
        if let Some(channel) = state.current()? {
            return Ok(Found::Connection(channel));
        }
        if let Some(dial) = &state.dial {
            // A dial that panicked does so in front of whoever waited for it, and is not begun again for them.
            if dial.failures.has_changed().is_err() {
                state.dial = None;
                let text = format!("the dial of {} panicked", self.endpoint);
                return Err(Error::new(Kind::Internal, text));
            }
            return Ok(Found::Dial(dial.failures.clone()));
        }
        let (sender, failures) = watch::channel(None);
        let task = tokio::spawn(self.clone().dial(sender)).abort_handle();
        state.dial = Some(Dial {
            failures: failures.clone(),
            task,
        });
        Ok(Found::Dial(failures))
    }

    /// Dials until there is a connection, or nobody waits for one.
    async fn dial(self: Arc<Self>, failures: watch::Sender<Option<Error>>) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let dial = self.connect()(self.endpoint.clone());
            match dial.await {
                Ok(channel) => {
                    tracing::debug!(target: events::CLIENT, endpoint = %self.endpoint, "connected");
                    let mut state = self.state();
                    if state.closed {
                        channel.close();
                    } else {
                        (state.channel, state.dial) = (Some(channel), None);
                    }
                    return;
                }
                Err(error) => drop(failures.send_replace(Some(error))),
            }
            // Half of it at least: clients of one server that was lost do not return all at once.
            sleep(backoff.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
            let mut state = self.state();
            let is_waited_for = failures.receiver_count() > 1;
            if !is_waited_for {
                state.dial = None;
                return;
            }
        }
    }

    fn connect(&self) -> MutexGuard<'_, Connect> {
        self.connect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkState {
    /// The connection that there is, if it takes calls.
    fn current(&mut self) -> Result<Option<Channel>, Error> {
        if self.closed {
            return Err(Error::new(Kind::Closed, "the client was closed"));
        }
        if self.channel.as_ref().is_some_and(is_over) {
            self.channel = None;
        }
        Ok(self.channel.clone())
    }
}

/// Whether a connection takes no further call.
fn is_over(channel: &Channel) -> bool {
    channel.peer().is_draining()
}

impl Service<Request<Body>> for Reconnect {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ReconnectFuture;

    /// Always: a call waits by itself, so that one which fails fast can.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ReconnectFuture {
        ReconnectFuture(match self.current() {
            Ok(Some(channel)) => State::Answering(channel.call(request)),
            Ok(None) => {
                let (deadline, fail_fast) = (request.cx().deadline(), request.cx().is_fail_fast());
                let link = self.link.clone();
                let connected = async move { link.connected(deadline, fail_fast).await };
                State::Connecting(Box::pin(connected), Some(request))
            }
            Err(error) => State::Failed(Some(error)),
        })
    }
}

impl Future for ReconnectFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const OVER: &str = "a call was polled after completion";
        loop {
            match &mut self.0 {
                State::Connecting(connected, request) => {
                    let mut channel = ready!(connected.as_mut().poll(cx))?;
                    let request = request.take().expect(OVER);
                    self.0 = State::Answering(channel.call(request));
                }
                State::Answering(answer) => return Pin::new(answer).poll(cx),
                State::Failed(error) => return Poll::Ready(Err(error.take().expect(OVER))),
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("endpoint", &self.endpoint)
            .field("state", &*self.state())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting(..) => "Connecting",
            Self::Answering(_) => "Answering",
            Self::Failed(_) => "Failed",
        })
    }
}
