//! Messages whose body comes in pieces, and what is left of those that were refused on the way.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use crate::{
    BodyCompression, Error, Execution, Kind, Origin, events,
    wire::{
        Budget, Frame, Id, Reason, Violation, compression,
        numbers::{
            limit::{MAX_EMPTY, MAX_OPEN},
            total,
        },
    },
};

use super::{
    Limits,
    head::{Head, Sort},
    refusal::Refusal,
    spare::Spare,
};

/// The ids whose DATA is awaited.
#[derive(Debug)]
pub(super) struct Assembly {
    partials: HashMap<Id, Partial>,
    /// How many of them are [`Partial::Open`].
    open: usize,
    empty: u32,
    memory: Memory,
    spare: Spare,
    max_message: u64,
    /// What is decoded of compressed bodies.
    compressions: Vec<BodyCompression>,
    max_discarding: usize,
}

/// A message that has begun.
#[derive(Debug)]
enum Partial {
    /// Boxed: it is ten times as large as the other, of which there may be many more.
    Open(Box<Open>),
    /// Its pieces are thrown away. For an answer: what its caller is told when the last has come, since the
    /// caller's id is not free before.
    Discarding(Option<Refusal>),
}

#[derive(Debug)]
struct Open {
    head: Head,
    total: Option<u64>,
    body: Vec<u8>,
    /// What was taken from the budgets: for the body and the metadata.
    paid: usize,
}

/// The bytes held in all messages, paid from the connection's share and from everybody's.
#[derive(Debug)]
struct Memory {
    used: usize,
    max: usize,
    shared: Budget,
}

impl Assembly {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            partials: HashMap::new(),
            open: 0,
            empty: 0,
            memory: Memory {
                used: 0,
                max: limits.max_assembly,
                shared: limits.assembly_budget.clone(),
            },
            spare: Spare::new(limits.spares.clone()),
            max_message: limits.max_message,
            compressions: limits.compressions.clone(),
            max_discarding: limits.hello().max_calls as usize,
        }
    }

    /// Whether no message is awaited.
    pub(super) fn is_empty(&self) -> bool {
        self.partials.is_empty()
    }

    /// Whether more of this message is awaited.
    pub(super) fn contains(&self, id: Id) -> bool {
        self.partials.contains_key(&id)
    }

    /// Gives memory back that is kept for messages to come.
    pub(super) fn shrink(&mut self) {
        self.spare.clear();
        self.partials.shrink_to_fit();
    }

    /// Begins a message of which `announced` bytes are to come, `first` now, and that takes `cost` bytes so far.
    pub(super) fn begin(
        &mut self,
        id: Id,
        head: Head,
        announced: u64,
        first: &[u8],
        cost: usize,
    ) -> Result<Option<Frame>, Violation> {
        let total = (announced != total::UNKNOWN).then_some(announced);
        if total.is_some_and(|total| total < first.len() as u64) {
            return Err(Violation::new(format!(
                "a message of {announced} bytes begins with {}",
                first.len()
            )));
        }
        let sort = head.sort();
        if let Some(refusal) = total.and_then(|total| self.too_long(total)) {
            return self.refuse(sort, id, refusal, true);
        }
        if self.open == MAX_OPEN {
            return self.refuse(sort, id, Refusal::Open, true);
        }
        self.open += 1;
        let open = Open {
            head,
            total,
            body: total.map_or_else(Vec::new, |total| self.spare.take(total)),
            paid: 0,
        };
        self.partials.insert(id, Partial::Open(Box::new(open)));
        self.add(id, first, cost)
    }

    /// Whether a DATA frame of `len` bytes may come for this id.
    pub(super) fn expect(&mut self, id: Id, len: u32, end: bool) -> Result<(), Violation> {
        let Some(partial) = self.partials.get(&id) else {
            let text = format!("DATA for {id:?}, which is not under way");
            return Err(Violation::new(text));
        };
        self.empty = if len == 0 && !end { self.empty + 1 } else { 0 };
        if self.empty > MAX_EMPTY {
            let text = format!("more than {MAX_EMPTY} empty DATA frames in a row");
            return Err(Violation::new(text));
        }
        let Partial::Open(open) = partial else {
            return Ok(());
        };
        let sum = open.body.len() as u64 + u64::from(len);
        match open.total {
            Some(total) if sum > total || end && sum < total => {
                let text = format!("a message of {total} bytes comes with {sum}");
                Err(Violation::new(text))
            }
            _ => Ok(()),
        }
    }

    /// Adds bytes to a message. A frame if it is refused for them.
    pub(super) fn append(&mut self, id: Id, bytes: &[u8]) -> Result<Option<Frame>, Violation> {
        self.add(id, bytes, bytes.len())
    }

    /// The body of a message that is kept, with room for `len` more bytes of it.
    pub(super) fn room(&mut self, id: Id, len: usize) -> Option<&mut Vec<u8>> {
        let Some(Partial::Open(open)) = self.partials.get_mut(&id) else {
            return None;
        };
        open.reserve(len);
        Some(&mut open.body)
    }

    /// Notes that so many bytes were added to the body of a message by way of [`room`](Self::room), and moves
    /// as many behind them to `rest`. A frame if it is refused for them.
    pub(super) fn took(
        &mut self,
        id: Id,
        taken: usize,
        past: usize,
        rest: &mut BytesMut,
    ) -> Result<Option<Frame>, Violation> {
        let Some(Partial::Open(open)) = self.partials.get_mut(&id) else {
            return Ok(None);
        };
        let end = open.body.len() - past;
        rest.extend_from_slice(&open.body[end..]);
        open.body.truncate(end);
        self.pay(id, end as u64, taken)
    }

    /// The message whose last byte has come.
    pub(super) fn finish(&mut self, id: Id) -> Result<Option<Frame>, Violation> {
        match self.remove(id) {
            Some(Partial::Open(open)) => {
                let body = self.spare.lend(open.body);
                self.complete(open.head, body)
            }
            Some(Partial::Discarding(refusal)) => Ok(refusal.and_then(|it| answer(id, it))),
            None => Ok(None),
        }
    }

    /// A message with all of its body. It is refused if that is compressed and cannot be had.
    pub(super) fn complete(&mut self, head: Head, body: Bytes) -> Result<Option<Frame>, Violation> {
        if head.is_compressed()
            && let Err(error) = self.check_compressed(head.sort(), &body)
        {
            return Ok(told(head.sort(), head.id(), error));
        }
        Ok(Some(head.complete(body)))
    }

    /// Ends a message that the peer takes back. `None` if it is not under way.
    pub(super) fn cancel(&mut self, id: Id, reason: Reason) -> Option<Option<Frame>> {
        let open = match self.remove(id)? {
            Partial::Open(open) => open,
            Partial::Discarding(refusal) => return Some(refusal.and_then(|it| answer(id, it))),
        };
        Some(match open.head.sort() {
            Sort::Request => {
                let text = "the request was taken back before it was whole";
                let error = Sort::Request.refusal(Kind::Cancelled, text);
                Some(Frame::Refused { id, error })
            }
            Sort::OneWay => None,
            Sort::Response => {
                let text = format!("the peer ended its answer on the way ({reason:?})");
                let error = Error::new(interrupted(reason), text)
                    .with_origin(Origin::Remote)
                    .with_execution(Execution::MaybeExecuted);
                let result = Err(error);
                Some(Frame::Response { id, result })
            }
        })
    }

    /// Refuses a message, of which more comes if it `continues`: that is then thrown away.
    pub(super) fn refuse(
        &mut self,
        sort: Sort,
        id: Id,
        refusal: Refusal,
        continues: bool,
    ) -> Result<Option<Frame>, Violation> {
        let later = (continues && sort == Sort::Response).then_some(refusal);
        if continues {
            if self.partials.len() - self.open == self.max_discarding {
                let text = "more messages are refused and not ended than max_calls";
                return Err(Violation::new(format!("{text} ({})", self.max_discarding)));
            }
            self.partials.insert(id, Partial::Discarding(later));
        }
        Ok(match later {
            Some(_) => None,
            None => told(sort, id, refusal.error(sort)),
        })
    }

    /// Why a message of `len` bytes is refused, if that is too long.
    pub(super) fn too_long(&self, len: u64) -> Option<Refusal> {
        let max = self.max_message;
        (len > max).then_some(Refusal::TooLong { len, max })
    }

    /// Checks what a compressed body says of itself. Whether it is true shows when it is decompressed.
    fn check_compressed(&self, sort: Sort, body: &[u8]) -> Result<(), Error> {
        let prefix = compression::prefix(body).map_err(|text| sort.refusal(Kind::Invalid, text))?;
        let known = compression::of_number(prefix.number);
        if known.is_none_or(|it| !self.compressions.contains(&it)) {
            let kind = match sort {
                Sort::Request | Sort::OneWay => Kind::Unimplemented,
                Sort::Response => Kind::Invalid,
            };
            let text = format!("compression {} is not decoded here", prefix.number);
            return Err(sort.refusal(kind, text));
        }
        match self.too_long(prefix.plain_len.into()) {
            Some(refusal) => Err(refusal.error(sort)),
            None => Ok(()),
        }
    }

    fn add(&mut self, id: Id, bytes: &[u8], cost: usize) -> Result<Option<Frame>, Violation> {
        let Some(Partial::Open(open)) = self.partials.get_mut(&id) else {
            return Ok(None);
        };
        let len = (open.body.len() + bytes.len()) as u64;
        let refused = self.pay(id, len, cost)?;
        if let Some(Partial::Open(open)) = self.partials.get_mut(&id) {
            open.reserve(bytes.len());
            open.body.extend_from_slice(bytes);
        }
        Ok(refused)
    }

    /// Pays for bytes that make a body `len` bytes long, or refuses its message: a frame may say so.
    fn pay(&mut self, id: Id, len: u64, cost: usize) -> Result<Option<Frame>, Violation> {
        let too_long = self.too_long(len);
        let Some(Partial::Open(open)) = self.partials.get_mut(&id) else {
            return Ok(None);
        };
        let sort = open.head.sort();
        let Some(refusal) = too_long.or_else(|| self.memory.take(cost).err()) else {
            open.paid += cost;
            return Ok(None);
        };
        self.remove(id);
        self.refuse(sort, id, refusal, true)
    }

    fn remove(&mut self, id: Id) -> Option<Partial> {
        let partial = self.partials.remove(&id)?;
        if let Partial::Open(open) = &partial {
            self.open -= 1;
            self.memory.give(open.paid);
        }
        Some(partial)
    }
}

impl Open {
    /// Makes room for `len` more bytes. The buffer grows with what has come, and not past what is to come.
    fn reserve(&mut self, len: usize) {
        let needed = self.body.len() + len;
        if needed > self.body.capacity() {
            let total = self.total.and_then(|total| usize::try_from(total).ok());
            let room = needed
                .max(self.body.capacity().saturating_mul(2))
                .min(total.unwrap_or(usize::MAX));
            self.body.reserve_exact(room - self.body.len());
        }
    }
}

impl Memory {
    /// Takes bytes, or tells which limit has none left.
    fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.used + bytes > self.max {
            return Err(Refusal::Assembly(self.max));
        }
        if !self.shared.take(bytes) {
            return Err(Refusal::Budget(self.shared.limit()));
        }
        self.used += bytes;
        Ok(())
    }

    fn give(&mut self, bytes: usize) {
        self.used -= bytes;
        self.shared.give(bytes);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.shared.give(self.used);
    }
}

/// Tells of a message that is not taken, if anybody is told.
fn told(sort: Sort, id: Id, error: Error) -> Option<Frame> {
    match sort {
        Sort::Request => Some(Frame::Refused { id, error }),
        Sort::Response => {
            let result = Err(error);
            Some(Frame::Response { id, result })
        }
        Sort::OneWay => {
            tracing::debug!(target: events::WIRE, %error, "a one-way message is dropped");
            None
        }
    }
}

/// Tells of an answer that was not taken, all of which has come.
fn answer(id: Id, refusal: Refusal) -> Option<Frame> {
    told(Sort::Response, id, refusal.error(Sort::Response))
}

/// What an answer that its server did not finish means to its caller.
fn interrupted(reason: Reason) -> Kind {
    match reason {
        Reason::Timeout => Kind::Timeout,
        Reason::Limit => Kind::Overflow,
        Reason::Shutdown | Reason::Now | Reason::Idle | Reason::Refused => Kind::Unavailable,
        Reason::Protocol | Reason::Version => Kind::Internal,
        Reason::Ack | Reason::Dropped | Reason::Other(_) => Kind::Cancelled,
    }
}
