//! Calls that leave together.

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Poll, Waker},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout_at};

use super::{
    Answer, Channel, DefaultStack, Item, Payload,
    issue::{hand_over, poll_once},
    typed::ask_for,
};
use crate::{
    Body, Codec, Context, Error, Execution, Kind, Method, Options, Peer, Request,
    codec::{Arena, DefaultCodec},
    conn::{CallResult, RpcService, Tray},
};

/// Calls of any methods and types, collected first – by several tasks if need be – and sent together.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example(client: steeple::Client) -> Result<(), steeple::Error> {
/// let batch = client.batch();
/// let sum = batch.call::<i32>("Add", &(2, 3))?;
/// let name = batch.call::<String>("Name", &7)?;
/// batch.notify("Log", "two calls follow")?;
/// batch.run().timeout(Duration::from_secs(1)).await?;
/// println!("{} {}", sum.take()?, name.take()?);
/// # Ok(())
/// # }
/// ```
///
/// Over a [`Channel`], a [`Peer`] and the [default stack](DefaultStack), a batch is one thing: all of its messages
/// are taken under one lock and go out in one write, as far as the stream takes them; there is room for all or
/// for none; and who runs it is woken once. Over any other service its calls are made one after the other, none
/// waiting for the answer to another, each in a task of its own: together, but not at once.
///
/// A batch is one attempt: calls of it are not tried again. The server runs them in any order, most at the same
/// time. It is empty after a [`run`](Self::run) and can be used again.
pub struct Batch<S = DefaultStack, C = DefaultCodec> {
    codec: C,
    inner: Mutex<Inner<S>>,
}

struct Inner<S> {
    service: S,
    arena: Arena,
    collected: Collected,
}

/// The calls of one run. Those without an answer when it goes are told that they are cancelled.
#[derive(Debug, Default)]
struct Collected {
    requests: Vec<Request<Body>>,
    tray: Arc<Tray>,
    /// Whether calls of it may have been made.
    begun: bool,
}

/// A batch that is to be run: set its deadline, then await it. It is a future, and runs when it is first polled.
///
/// Awaiting gives `Ok` when each item has its result, whichever that is, and an error if the batch was refused as a
/// whole: no call of it was made, and its items have the same error. Dropping it cancels what is not answered;
/// items that are keep their answers.
#[must_use = "a batch is not run unless this is awaited"]
pub struct Run<S> {
    /// Until it runs.
    plan: Option<Plan<S>>,
    /// From then on.
    running: Option<Running>,
}

type Running = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// What is to be run.
#[derive(Debug)]
struct Plan<S> {
    service: S,
    collected: Collected,
    timeout: Option<Duration>,
}

/// How long after the deadline calls that are made one by one are given up: after the connection below, which
/// knows what was sent, has had two ticks of its clock to say so.
const GRACE: Duration = Duration::from_millis(4);

impl<S, C> Batch<S, C> {
    /// The most messages in a batch: as many as a connection has ids for.
    pub const MAX_LEN: usize = Options::MAX_CALLS;

    pub(super) fn new(service: S, codec: C) -> Self {
        Self {
            codec,
            inner: Mutex::new(Inner {
                service,
                arena: Arena::new(),
                collected: Collected::default(),
            }),
        }
    }

    /// How many messages were added since the last run.
    pub fn len(&self) -> usize {
        self.lock().collected.requests.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S, C> Batch<S, C>
where
    S: RpcService + Clone + Send + 'static,
    C: Codec,
{
    /// Adds a call.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if the arguments cannot be encoded, [`Kind::Overflow`] if the batch holds
    /// [`MAX_LEN`](Self::MAX_LEN) messages.
    pub fn call<T: Answer>(
        &self,
        method: impl Into<Method>,
        args: impl Payload,
    ) -> Result<Item<T, C>, Error> {
        let mut inner = self.lock();
        let body = args.into_body(&self.codec, &mut inner.arena)?;
        self.add(&mut inner.collected, Request::new(method, body))
    }

    /// Adds a message without an answer.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn notify(&self, method: impl Into<Method>, args: impl Payload) -> Result<(), Error> {
        let mut inner = self.lock();
        let body = args.into_body(&self.codec, &mut inner.arena)?;
        let mut request = Request::new(method, body);
        request.cx_mut().set_one_way(true);
        self.add::<()>(&mut inner.collected, request).map(drop)
    }

    /// Adds a call of a request that is already made, as [`Client::request`](super::Client::request).
    ///
    /// # Errors
    /// [`Kind::Overflow`] if the batch holds [`MAX_LEN`](Self::MAX_LEN) messages.
    pub fn request<T: Answer>(&self, request: Request<Body>) -> Result<Item<T, C>, Error> {
        self.add(&mut self.lock().collected, request)
    }

    /// Takes what was added, which leaves the batch empty, to be run.
    pub fn run(&self) -> Run<S> {
        let mut inner = self.lock();
        Run {
            plan: Some(Plan {
                service: inner.service.clone(),
                collected: mem::take(&mut inner.collected),
                timeout: None,
            }),
            running: None,
        }
    }

    fn add<T: Answer>(
        &self,
        collected: &mut Collected,
        mut request: Request<Body>,
    ) -> Result<Item<T, C>, Error> {
        if collected.requests.len() >= Self::MAX_LEN {
            let text = format!("a batch holds at most {} messages", Self::MAX_LEN);
            return Err(Error::new(Kind::Overflow, text));
        }
        ask_for(&self.codec, &mut request);
        collected.requests.push(request);
        let number = collected.tray.add();
        Ok(Item::new(
            collected.tray.clone(),
            number,
            self.codec.clone(),
        ))
    }
}

impl<S> Run<S> {
    /// The deadline of all calls together, from when the run begins. Default: what the stack sets; 20 s in the
    /// default one, nothing over a bare [`Channel`]. When it passes, the items without an answer have
    /// [`Kind::Timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Some(plan) = &mut self.plan {
            plan.timeout = Some(timeout);
        }
        self
    }
}

impl<S> Future for Run<S>
where
    S: RpcService + Send + 'static,
{
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        if let Some(plan) = self.plan.take() {
            self.running = Some(Box::pin(run(plan)));
        }
        let running = self.running.as_mut();
        running.expect("it runs, or has a plan").as_mut().poll(cx)
    }
}

// Nothing in it is pinned in place.
impl<S> Unpin for Run<S> {}

async fn run<S: RpcService + Send + 'static>(plan: Plan<S>) -> Result<(), Error> {
    let Plan {
        mut service,
        mut collected,
        timeout,
    } = plan;
    let mut requests = mem::take(&mut collected.requests);
    if requests.is_empty() {
        return Ok(());
    }
    let tray = &collected.tray.clone();
    if let Some(timeout) = timeout {
        // One look at the clock for all of them.
        let deadline = Context::default().set_timeout(timeout).deadline();
        for request in &mut requests {
            request.cx_mut().set_deadline(deadline);
        }
    }
    let connection = match connection(&mut service, &mut requests).await {
        Ok(connection) => connection,
        Err(error) => {
            tray.fail(&error);
            return Err(error);
        }
    };
    let Some((peer, _channel)) = connection else {
        collected.begun = true;
        one_by_one(service, requests, tray).await;
        return Ok(());
    };
    let _underway = peer
        .call_all(requests, tray)
        .inspect_err(|error| _ = tray.fail(error))?;
    poll_fn(|cx| tray.poll_all(cx.waker())).await;
    Ok(())
}

/// The connection that takes the batch as one, and what keeps it; `None` if the service is a stack that wants to
/// see each call.
async fn connection<S: 'static>(
    service: &mut S,
    requests: &mut [Request<Body>],
) -> Result<Option<(Peer, Option<Channel>)>, Error> {
    let service: &mut dyn Any = service;
    if let Some(stack) = service.downcast_mut::<DefaultStack>() {
        let channel = stack.channel_for(requests).await?;
        return Ok(Some((channel.peer().clone(), Some(channel))));
    }
    let peer = match service.downcast_ref::<Channel>() {
        Some(channel) => Some(channel.peer()),
        None => service.downcast_ref::<Peer>(),
    };
    Ok(peer.map(|peer| (peer.clone(), None)))
}

/// Makes the calls one after the other and waits for all.
async fn one_by_one<S>(mut service: S, requests: Vec<Request<Body>>, tray: &Arc<Tray>)
where
    S: RpcService + Send + 'static,
{
    let deadline = requests.iter().filter_map(|it| it.cx().deadline()).max();
    // Those that are under way go with this.
    let mut tasks = JoinSet::new();
    let all = async {
        for (number, request) in (0..).zip(requests) {
            let tray = tray.clone();
            let deliver = move |answer| deliver(&tray, number, answer);
            if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
                deliver(Err(error.into()));
                continue;
            }
            let answer = service.call(request);
            match poll_once(async { answer.await.map_err(Into::into) }) {
                Ok(answer) => deliver(answer),
                Err(call) => drop(tasks.spawn(hand_over(call, deliver))),
            }
        }
        poll_fn(|cx| tray.poll_all(cx.waker())).await;
    };
    let Some(deadline) = deadline.and_then(|deadline| deadline.checked_add(GRACE)) else {
        return all.await;
    };
    if timeout_at(deadline, all).await.is_err() {
        let error = Error::new(Kind::Timeout, "the deadline of the batch has passed");
        tray.fail(&error.with_execution(Execution::MaybeExecuted));
    }
}

fn deliver(tray: &Tray, number: u32, answer: CallResult) {
    let mut wakers = Vec::new();
    tray.deliver(number, answer, &mut wakers);
    wakers.into_iter().for_each(Waker::wake);
}

impl Drop for Collected {
    fn drop(&mut self) {
        let error = Error::new(Kind::Cancelled, "the batch was dropped before it had run");
        let execution = match self.begun {
            true => Execution::MaybeExecuted,
            false => Execution::NotSent,
        };
        self.tray.fail(&error.with_execution(execution));
    }
}

impl<S, C> fmt::Debug for Batch<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Run<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan.as_ref();
        f.debug_struct("Run")
            .field("len", &plan.map(|plan| plan.collected.requests.len()))
            .field("timeout", &plan.map(|plan| plan.timeout))
            .finish_non_exhaustive()
    }
}
