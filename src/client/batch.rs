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

use tokio::{
    task::JoinSet,
    time::{sleep, timeout_at},
};

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
/// The server runs its calls in any order, most at the same time. It is empty after a [`run`](Self::run) and can be
/// used again.
///
/// # What its calls have of the default stack
///
/// A trace, and a deadline: their own, that of [`Run::timeout`], or the client's default, and none beyond that of the
/// handler that runs the batch. They wait for a replica together, until the last of these deadlines, or, if one of
/// them [fails fast](crate::Context::is_fail_fast), no longer than that one would; a call whose own deadline has
/// passed when the batch leaves then fails alone. A connection that stops taking calls before it has taken the batch
/// gives way to another, once. That is all that is tried again: no call, and not a batch that finds a queue full.
/// Who wants that adds it around, as in a loop with a pause. No call of a batch leaves a line in the
/// [log](steeple_layers::log).
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
    /// The numbers of the messages without an answer.
    one_ways: Vec<u32>,
    /// How many of the calls may have been made: those with the lowest numbers.
    made: u32,
}

/// A batch that is to be run: set its deadline, then await it. It is a future, and runs when it is first polled.
///
/// Awaiting gives `Ok` when each item has its result, whichever that is. It gives an error if the batch was refused as
/// a whole: no call of it was made, and its items have the same error, which says so. And it gives one, for want of an
/// item, if a [message without an answer](Batch::notify) could not be sent; its execution is then that of the batch,
/// which may have run, and its source says what was wrong. Dropping the run cancels what is not answered; items that
/// are keep their answers.
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

/// How long to wait before another connection is chosen in the place of one that takes no more calls: the task that
/// keeps it has been woken by then, and no longer offers it.
const CHOOSE_AGAIN: Duration = Duration::from_millis(1);

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
        self.add_item(&mut inner.collected, Request::new(method, body))
    }

    /// Adds a message without an answer.
    ///
    /// # Errors
    /// As [`call`](Self::call). One that cannot be sent is an error of the [`Run`].
    pub fn notify(&self, method: impl Into<Method>, args: impl Payload) -> Result<(), Error> {
        let mut inner = self.lock();
        let body = args.into_body(&self.codec, &mut inner.arena)?;
        let mut request = Request::new(method, body);
        request.cx_mut().set_one_way(true);
        let collected = &mut inner.collected;
        let number = self.add(collected, request)?;
        collected.one_ways.push(number);
        Ok(())
    }

    /// Adds a call of a request that is already made, as [`Client::request`](super::Client::request).
    ///
    /// # Errors
    /// [`Kind::Overflow`] if the batch holds [`MAX_LEN`](Self::MAX_LEN) messages.
    pub fn request<T: Answer>(&self, request: Request<Body>) -> Result<Item<T, C>, Error> {
        self.add_item(&mut self.lock().collected, request)
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

    fn add_item<T: Answer>(
        &self,
        collected: &mut Collected,
        request: Request<Body>,
    ) -> Result<Item<T, C>, Error> {
        let number = self.add(collected, request)?;
        let (tray, codec) = (collected.tray.clone(), self.codec.clone());
        Ok(Item::new(tray, number, codec))
    }

    /// Adds a message; its number.
    fn add(&self, collected: &mut Collected, mut request: Request<Body>) -> Result<u32, Error> {
        if collected.requests.len() >= Self::MAX_LEN {
            let text = format!("a batch holds at most {} messages", Self::MAX_LEN);
            return Err(Error::new(Kind::Overflow, text));
        }
        ask_for(&self.codec, &mut request);
        collected.requests.push(request);
        Ok(collected.tray.add())
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
        service,
        mut collected,
        timeout,
    } = plan;
    if collected.requests.is_empty() {
        return Ok(());
    }
    if let Some(timeout) = timeout {
        // One look at the clock for all of them.
        let deadline = Context::default().set_timeout(timeout).deadline();
        for request in &mut collected.requests {
            request.cx_mut().set_deadline(deadline);
        }
    }
    if let Err(error) = make(service, &mut collected).await {
        collected.tray.fail(&error);
        return Err(error);
    }
    collected.check_one_ways()
}

/// Makes the calls, and waits for their answers.
///
/// # Errors
/// None of them was made.
async fn make<S: RpcService + Send + 'static>(
    service: S,
    collected: &mut Collected,
) -> Result<(), Error> {
    let (peer, stack) = below(&service);
    if let Some(peer) = peer {
        return at_once(&peer, collected).await;
    }
    let Some(stack) = stack else {
        one_by_one(service, collected).await;
        return Ok(());
    };
    let mut cx = stack.prepare(&mut collected.requests);
    let channel = stack.channel(&cx).await?;
    match at_once(channel.peer(), collected).await {
        // It was a connection when it was chosen.
        Err(error) if error.kind() != Kind::Overflow => {}
        made => return made,
    }
    sleep(CHOOSE_AGAIN).await;
    cx.set_attempt(1);
    let channel = stack.channel(&cx).await?;
    at_once(channel.peer(), collected).await
}

/// The connection that takes the batch as one, or the stack that knows one. Any other stack wants to see each call.
fn below<S: 'static>(service: &S) -> (Option<Peer>, Option<DefaultStack>) {
    let service: &dyn Any = service;
    let channel = service.downcast_ref().map(Channel::peer);
    let peer = channel.or(service.downcast_ref());
    (peer.cloned(), service.downcast_ref().cloned())
}

/// Makes all calls together, or none, and waits for all.
async fn at_once(peer: &Peer, collected: &mut Collected) -> Result<(), Error> {
    let _underway = peer.call_all(&mut collected.requests, &collected.tray)?;
    collected.requests = Vec::new();
    collected.made = u32::MAX;
    poll_fn(|cx| collected.tray.poll_all(cx.waker())).await;
    Ok(())
}

/// Makes the calls one after the other and waits for all.
async fn one_by_one<S>(mut service: S, collected: &mut Collected)
where
    S: RpcService + Send + 'static,
{
    let requests = mem::take(&mut collected.requests);
    let deadline = requests.iter().filter_map(|it| it.cx().deadline()).max();
    let (tray, made) = (&collected.tray, &mut collected.made);
    // Those that are under way go with this.
    let mut tasks = JoinSet::new();
    let all = async {
        for (number, request) in (0..).zip(requests) {
            let deliver_to = tray.clone();
            let deliver = move |answer| deliver(&deliver_to, number, answer);
            let ready = poll_fn(|cx| service.poll_ready(cx)).await;
            *made = number + 1;
            if let Err(error) = ready {
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
        collected.fail(Kind::Timeout, "the deadline of the batch has passed");
    }
}

fn deliver(tray: &Tray, number: u32, answer: CallResult) {
    let mut wakers = Vec::new();
    tray.deliver(number, answer, &mut wakers);
    wakers.into_iter().for_each(Waker::wake);
}

impl Collected {
    /// Ends all that have not ended. What was not made was not sent.
    fn fail(&self, kind: Kind, text: &'static str) {
        let error = Error::new(kind, text);
        self.tray.fail_from(self.made, &error);
        self.tray
            .fail(&error.with_execution(Execution::MaybeExecuted));
    }

    /// Tells of a message without an answer that was not sent: it has no item that could.
    fn check_one_ways(&self) -> Result<(), Error> {
        for number in &self.one_ways {
            if let Poll::Ready(Err(error)) = self.tray.poll(*number, Waker::noop())
                && error.execution() == Execution::NotSent
            {
                let text =
                    "a message without an answer was not sent; the rest of the batch has run";
                let error = Error::new(error.kind(), text).with_source(error);
                return Err(error.with_execution(Execution::MaybeExecuted));
            }
        }
        Ok(())
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        self.fail(Kind::Cancelled, "the batch was dropped before it had run");
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
