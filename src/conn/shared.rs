//! What the handles, the handlers' tasks and the driver of one connection share.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::Waker,
};

use steeple_layers::moment::Moment;
use tokio::sync::{oneshot, watch};

use super::{
    cause::Cause,
    inflight::Key,
    job::Reply,
    leavings::Leavings,
    mailbox::Mailbox,
    outbox::{Outbox, Phase, Wish},
    tray::Tray,
    values::Values,
};
use crate::{
    Body, BodyCompression, Error, Kind, Request, Response,
    transport::Address,
    wire::{Hello, compression},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    outbox: Mutex<Outbox>,
    status: watch::Sender<Status>,
    /// What `status` says, where a call can read it without a lock.
    reached: AtomicU8,
    /// The compressions that the peer decodes, as bits.
    decoded: AtomicU8,
    address: Option<Address>,
    /// Whether the age of calls matters, so that each reads the clock.
    ages: bool,
    pings: Mutex<Pings>,
    values: Values,
}

/// How far a connection is, as its handles see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// The peer has not opened its direction.
    Opening,
    /// The peer has opened its direction.
    Open,
    /// No call begins any more.
    Draining,
    /// It is over.
    Closed,
}

/// Those who wait for the answer to a ping of theirs.
#[derive(Debug, Default)]
struct Pings {
    last: u32,
    waiting: BTreeMap<u32, oneshot::Sender<()>>,
}

/// The nonces of users' pings go from 1 to this: 0 is that of keepalive, and those above it are marks.
const MAX_NONCE: u32 = u32::MAX >> 1;

/// How many pings of users may wait for their answers.
const MAX_PINGS: usize = 64;

impl Shared {
    pub(super) fn new(outbox: Outbox, address: Option<Address>, ages: bool) -> Self {
        Self {
            outbox: Mutex::new(outbox),
            status: watch::Sender::new(Status::Opening),
            reached: AtomicU8::new(Status::Opening as u8),
            decoded: AtomicU8::new(0),
            address,
            ages,
            pings: Mutex::default(),
            values: Values::new(),
        }
    }

    pub(super) fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    /// Whether the connection is as far as `status`.
    pub(super) fn has_reached(&self, status: Status) -> bool {
        // Relaxed: whoever reads an old value meets the end under the lock.
        self.reached.load(Ordering::Relaxed) >= status as u8
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The connection has come as far as `status`; it never goes back.
    pub(super) fn reach(&self, status: Status) {
        self.status.send_if_modified(|reached| {
            let further = status > *reached;
            *reached = status.max(*reached);
            further
        });
        self.reached.fetch_max(status as u8, Ordering::Relaxed);
        if status == Status::Closed {
            let waiting = mem::take(&mut self.pings().waiting);
            // Past the lock: it wakes those who wait.
            drop(waiting);
            self.values.close();
        }
    }

    /// Takes note of what the peer decodes.
    pub(super) fn peer_hello(&self, hello: &Hello) {
        let bits = hello
            .compressions
            .iter()
            .fold(0, |bits, it| bits | bit(*it));
        self.decoded.store(bits, Ordering::Relaxed);
    }

    /// Compresses a body of which that is wanted, if the peer decodes it. To be called without the lock: it takes
    /// its time.
    pub(super) fn compress(&self, body: &mut Body) {
        if let Some(compression) = body.compression()
            // Relaxed: until the peer's opening is seen here, bodies go as they are.
            && self.decoded.load(Ordering::Relaxed) & bit(compression) != 0
        {
            *body = compression::compress(mem::take(body));
        }
    }

    /// The outbox. What is done under this lock is short and runs no code of the user's.
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call, whose caller waits at `mailbox`. The request is taken away only if it has to wait: to move it
    /// costs as much as to encode it.
    pub(super) fn call(
        &self,
        request: &mut Request<Body>,
        mailbox: &Arc<Mailbox>,
    ) -> Result<Key, Error> {
        self.compress(request.body_mut());
        let deadline = request.cx().deadline_moment();
        let has_deadline = deadline != Moment::NONE;
        let mut leavings = Leavings::default();
        let mut outbox = self.outbox();
        // The start of the call would not do: since then it may have waited in a layer above.
        let now = match has_deadline || self.ages {
            true => outbox.now(),
            false => Moment::NONE,
        };
        if has_deadline && deadline <= now {
            outbox.stats_mut().calls.count(Err(Kind::Timeout));
            drop(outbox);
            let text = "the deadline had passed before the call began";
            return Err(Error::new(Kind::Timeout, text));
        }
        let result = match outbox.call(request, now, mailbox) {
            Ok(None) => {
                let taken = mem::replace(request, Request::new("", Body::empty()));
                outbox.wait(Box::new(taken), now, mailbox, &mut leavings)
            }
            Ok(Some(key)) => Ok(key),
            Err(error) => Err(error),
        };
        let driver = outbox.rouse();
        if driver.is_some() {
            outbox.set_now(now);
        }
        leavings.wake(driver);
        result
    }

    /// Begins all calls of a batch, whose answers come to `tray`, or none.
    pub(super) fn call_all(
        &self,
        requests: &mut Vec<Request<Body>>,
        tray: &Arc<Tray>,
    ) -> Result<Vec<Key>, Error> {
        for request in &mut *requests {
            self.compress(request.body_mut());
        }
        let timed = self.ages || requests.iter().any(|it| it.cx().deadline().is_some());
        let now = match timed {
            true => Moment::now(),
            false => Moment::NONE,
        };
        let mut leavings = Leavings::default();
        let mut outbox = self.outbox();
        let result = outbox.call_all(requests, now, tray, &mut leavings);
        leavings.wake(outbox.rouse());
        result
    }

    /// Sends a message without an answer.
    pub(super) fn one_way(&self, mut request: Request<Body>) -> Result<(), Error> {
        self.compress(request.body_mut());
        let mut outbox = self.outbox();
        let result = outbox.one_way(&request);
        let driver = outbox.rouse();
        drop(outbox);
        driver.into_iter().for_each(Waker::wake);
        result
    }

    /// Ends a call whose caller no longer waits.
    pub(super) fn abandon(&self, key: Key) {
        let mut leavings = Leavings::default();
        self.outbox().abandon(key, &mut leavings);
    }

    /// Ends the calls of a batch that have not ended, as cancelled.
    pub(super) fn abandon_all(&self, keys: &[Key]) {
        let mut leavings = Leavings::default();
        self.outbox().abandon_all(keys, &mut leavings);
    }

    /// A handler's task has an answer.
    pub(super) fn answer(&self, reply: Reply, mut result: Result<Response<Body>, Error>) {
        self.compress_answer(&mut result);
        let mut outbox = self.outbox();
        outbox.answer(reply, result.as_ref());
        let driver = outbox.finish(reply);
        drop(outbox);
        driver.into_iter().for_each(Waker::wake);
    }

    /// As [`compress`](Self::compress).
    pub(super) fn compress_answer(&self, result: &mut Result<Response<Body>, Error>) {
        if let Ok(response) = result {
            self.compress(response.body_mut());
        }
    }

    /// Wants more of the driver.
    pub(super) fn want(&self, wish: Wish) {
        let driver = self.outbox().want(wish);
        driver.into_iter().for_each(Waker::wake);
    }

    /// Sends a ping; the receiver is told of the answer.
    pub(super) fn ping(&self) -> Result<oneshot::Receiver<()>, Error> {
        let (sender, receiver) = oneshot::channel();
        let mut pings = self.pings();
        pings.waiting.retain(|_, sender| !sender.is_closed());
        if pings.waiting.len() >= MAX_PINGS {
            let text = format!("{MAX_PINGS} pings wait for their answers already");
            return Err(Error::new(Kind::Overflow, text));
        }
        pings.last = pings.last % MAX_NONCE + 1;
        let nonce = pings.last;
        pings.waiting.insert(nonce, sender);
        drop(pings);

        let mut outbox = self.outbox();
        outbox.check_usable()?;
        if !outbox.capabilities().ping {
            return Err(Error::new(Kind::Invalid, "this wire has no ping"));
        }
        outbox.control(|encoder, out| encoder.ping(nonce, out));
        let driver = outbox.rouse();
        drop(outbox);
        driver.into_iter().for_each(Waker::wake);
        Ok(receiver)
    }

    /// The peer has answered a ping.
    pub(super) fn pong(&self, nonce: u32) {
        let sender = self.pings().waiting.remove(&nonce);
        if let Some(sender) = sender {
            // Past the lock: it may run code of the user's. Whoever no longer waits does not mind.
            let _ = sender.send(());
        }
    }

    /// Why the connection ended, if it has.
    pub(super) fn cause(&self) -> Option<Cause> {
        match self.outbox().phase() {
            Phase::Closed(cause) => Some(cause.clone()),
            _ => None,
        }
    }

    fn pings(&self) -> MutexGuard<'_, Pings> {
        self.pings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bit(compression: BodyCompression) -> u8 {
    1 << compression as u8
}
