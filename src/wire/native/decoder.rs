//! The half that reads.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    Encoding,
    wire::{
        Decoder, Frame, Id, Role, Violation,
        numbers::{flag, kind, limit::MAX_FAREWELL, status},
    },
};

use super::{
    Limits,
    assembly::Assembly,
    bindings::Incoming,
    head::{Head, Sort},
    header::Header,
    meta, opening,
    plain::{self, Block, COPY_BELOW},
    reason,
    refusal::Refusal,
};

/// Reads the native wire.
#[derive(Debug)]
pub struct NativeDecoder {
    role: Role,
    max_frame: u32,
    /// No limit is passed by a frame shorter than this.
    plain_below: usize,
    served: Vec<Encoding>,
    state: State,
    /// How many frames were read to their ends.
    frames: u64,
    /// How many bytes of messages in several frames have come.
    in_parts: u64,
    /// Whether the peer's HELLO was read.
    greeted: bool,
    bindings: Incoming,
    assembly: Assembly,
    block: Block,
}

/// How far is read past a body that is read in place: to the header behind it, and to small frames that stand
/// there. What is found there of the next body is copied, so it is little.
const PAST_BODY: usize = 4096;

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum State {
    /// An offer to compress the stream, or the preface.
    Offer,
    Preface,
    Header,
    /// A payload that means nothing here.
    Skip(u32),
    /// The payload of DATA.
    Data {
        id: Id,
        left: u32,
        end: bool,
    },
}

/// What became of the bytes at hand.
enum Step {
    /// They were used; there may be more.
    Next,
    /// They are not enough.
    Wait,
    Yield(Frame),
}

impl From<Option<Frame>> for Step {
    fn from(frame: Option<Frame>) -> Self {
        frame.map_or(Self::Next, Self::Yield)
    }
}

impl NativeDecoder {
    pub(super) fn new(limits: &Limits, role: Role) -> Self {
        let hello = limits.hello();
        Self {
            role,
            max_frame: hello.max_frame,
            plain_below: COPY_BELOW.min(limits.max_message as usize),
            served: hello.encodings,
            state: match role {
                Role::Acceptor => State::Offer,
                Role::Dialer => State::Preface,
            },
            frames: 0,
            in_parts: 0,
            greeted: false,
            bindings: Incoming::new(hello.max_bindings),
            assembly: Assembly::new(limits),
            block: Block::default(),
        }
    }

    /// Goes one step in anything but a plain frame. Not inlined: what plain frames go through is to be short.
    #[inline(never)]
    fn step(&mut self, input: &mut BytesMut) -> Result<Step, Violation> {
        self.block.clear();
        Ok(match self.state {
            State::Offer if opening::begins_offer(input) => Step::Wait,
            State::Offer => {
                self.state = State::Preface;
                match opening::take_offer(input) {
                    true => Step::Yield(Frame::Offer),
                    false => Step::Next,
                }
            }
            State::Preface if opening::take_preface(input)? => {
                self.state = State::Header;
                Step::Next
            }
            State::Preface => Step::Wait,
            State::Header => self.frame(input)?,
            State::Skip(left) => self.skip(left, input),
            State::Data { id, left, end } => self.data((id, left, end), input)?,
        })
    }

    /// Reads a header and, unless it may come in pieces, the payload.
    fn frame(&mut self, input: &mut BytesMut) -> Result<Step, Violation> {
        let Some(header) = Header::decode_front(input) else {
            return Ok(Step::Wait);
        };
        self.check(header)?;
        match header.kind {
            kind::DATA => {
                let (id, end) = (header.id, header.has(flag::END));
                self.assembly.expect(id, header.len, end)?;
                input.advance(Header::LEN);
                let left = header.len;
                self.state = State::Data { id, left, end };
                return Ok(Step::Next);
            }
            kind::CANCEL | kind::PING | kind::PONG | kind::IGNORABLE.. => {
                input.advance(Header::LEN);
                self.state = State::Skip(header.len);
                return Ok(self.short(header).into());
            }
            _ => {}
        }
        let end = Header::LEN + header.len as usize;
        if input.len() < end {
            return Ok(Step::Wait);
        }
        self.frames += 1;
        if let Some(sort) = Sort::of(header.kind) {
            return self.message(sort, header, input);
        }
        let payload = &input[Header::LEN..end];
        let step = match header.kind {
            kind::HELLO => {
                self.greeted = true;
                Step::Yield(Frame::Hello(opening::decode(payload)?))
            }
            kind::BIND => {
                self.bindings.bind(header.code, payload)?;
                Step::Next
            }
            // GOAWAY: `check` has let nothing else pass.
            _ => {
                let text = &payload[..payload.len().min(MAX_FAREWELL)];
                Step::Yield(Frame::GoAway {
                    reason: reason::decode(header.code),
                    text: String::from_utf8_lossy(text).into(),
                })
            }
        };
        input.advance(end);
        Ok(step)
    }

    /// Refuses what no payload can make good.
    fn check(&self, header: Header) -> Result<(), Violation> {
        if header.len > self.max_frame {
            let (len, max) = (header.len, self.max_frame);
            let text = format!("a frame of {len} bytes exceeds max_frame ({max})");
            return Err(Violation::new(text));
        }
        let known = match header.kind {
            kind::IGNORABLE.. => return Ok(()),
            kind::HELLO if self.greeted => return Err(Violation::new("a second HELLO")),
            kind::HELLO | kind::GOAWAY => true,
            kind::REQUEST..=kind::CANCEL | kind::PING | kind::PONG | kind::BIND => {
                if !self.greeted {
                    let text = format!("frame kind {} before HELLO", header.kind);
                    return Err(Violation::new(text));
                }
                true
            }
            _ => false,
        };
        if !known {
            let text = format!("frame kind {} is not known", header.kind);
            return Err(Violation::new(text));
        }
        if header.has(flag::RESERVED_CRITICAL) && header.kind != kind::REQUEST {
            let text = format!("a reserved flag on frame kind {}", header.kind);
            return Err(Violation::new(text));
        }
        Ok(())
    }

    /// A frame of which the header says everything.
    fn short(&mut self, header: Header) -> Option<Frame> {
        let id = header.id;
        match header.kind {
            kind::PING => Some(Frame::Ping(header.aux)),
            kind::PONG => Some(Frame::Pong(header.aux)),
            kind::CANCEL => {
                let reason = reason::decode(header.code);
                self.assembly.cancel(id, reason).unwrap_or_else(|| {
                    // An answer of the peer that is not under way cannot be ended.
                    (id.opener() != self.role).then_some(Frame::Cancel { id, reason })
                })
            }
            _ => None,
        }
    }

    /// The first or only frame of a message, all of it in `input`.
    fn message(
        &mut self,
        sort: Sort,
        header: Header,
        input: &mut BytesMut,
    ) -> Result<Step, Violation> {
        // A stream is refused below; what its opener has sent meanwhile is DATA all the same.
        let continues = header.has(flag::MORE) || sort == Sort::Request && header.has(flag::STREAM);
        self.check_id(sort, header.id, continues)?;
        let end = Header::LEN + header.len as usize;
        let payload = &input[Header::LEN..end];
        if continues {
            self.in_parts += payload.len() as u64;
        }
        let parsed = self.head(sort, header, payload);
        let (head, taken) = match parsed {
            Ok(parsed) => parsed,
            Err(refusal) => {
                input.advance(end);
                let frame = self.assembly.refuse(sort, header.id, refusal, continues)?;
                return Ok(frame.into());
            }
        };
        if continues {
            let (total, first) = payload[taken..]
                .split_first_chunk()
                .ok_or_else(|| Violation::new("the length of a message is cut short"))?;
            let total = u64::from_le_bytes(*total);
            let cost = payload.len() + head.weight();
            let frame = self.assembly.begin(header.id, head, total, first, cost)?;
            input.advance(end);
            return Ok(frame.into());
        }
        let len = (payload.len() - taken) as u64;
        if let Some(refusal) = self.assembly.too_long(len) {
            input.advance(end);
            let frame = self.assembly.refuse(sort, header.id, refusal, false)?;
            return Ok(frame.into());
        }
        let body = take_body(input, Header::LEN + taken, end);
        Ok(self.assembly.complete(head, body)?.into())
    }

    /// What stands before a body, and how many bytes of the payload it takes.
    fn head(&self, sort: Sort, header: Header, payload: &[u8]) -> Result<(Head, usize), Refusal> {
        if let Some(what) = unsupported(sort, header) {
            return Err(Refusal::Unsupported(what));
        }
        let (mut entries, mut taken) = (None, 0);
        if header.has(flag::META) {
            let (said, len) = meta::decode(payload).map_err(Refusal::Metadata)?;
            (entries, taken) = (Some(Box::new(said)), len);
        }
        let head = Head::new(sort, header, entries, &self.bindings, &self.served)?;
        Ok((head, taken))
    }

    /// The id of a message is of the side that opened it, and of no message that is under way.
    fn check_id(&self, sort: Sort, id: Id, continues: bool) -> Result<(), Violation> {
        let opener = match sort {
            // Without more to come nothing refers to it.
            Sort::OneWay if !continues => return Ok(()),
            Sort::OneWay | Sort::Request => self.role.peer(),
            Sort::Response => self.role,
        };
        if id.opener() != opener || id.index() == 0 {
            let text = format!("{id:?} cannot be the id of a {sort:?}");
            return Err(Violation::new(text));
        }
        if self.assembly.contains(id) {
            let text = format!("{id:?} is used again before its message has ended");
            return Err(Violation::new(text));
        }
        Ok(())
    }

    /// Takes what has come of the payload of DATA.
    fn data(
        &mut self,
        (id, left, end): (Id, u32, bool),
        input: &mut BytesMut,
    ) -> Result<Step, Violation> {
        let taken = input.len().min(left as usize);
        let refused = self.assembly.append(id, &input[..taken])?;
        input.advance(taken);
        self.in_parts += taken as u64;
        let left = left - taken as u32;
        self.state = State::Data { id, left, end };
        if let Some(frame) = refused {
            return Ok(Step::Yield(frame));
        }
        if left > 0 {
            return Ok(Step::Wait);
        }
        self.state = State::Header;
        self.frames += 1;
        let whole = if end { self.assembly.finish(id)? } else { None };
        Ok(whole.into())
    }

    fn skip(&mut self, left: u32, input: &mut BytesMut) -> Step {
        let taken = input.len().min(left as usize);
        input.advance(taken);
        match left - taken as u32 {
            0 => {
                self.state = State::Header;
                self.frames += 1;
                Step::Next
            }
            left => {
                self.state = State::Skip(left);
                Step::Wait
            }
        }
    }
}

impl Decoder for NativeDecoder {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
        loop {
            if matches!(self.state, State::Header)
                && self.greeted
                && self.assembly.is_empty()
                && let Some(header) = plain::next(
                    input,
                    self.plain_below,
                    self.role,
                    &self.bindings,
                    &self.served,
                )
            {
                self.frames += 1;
                return plain::take(header, input, &self.bindings, &mut self.block);
            }
            match self.step(input)? {
                Step::Next => {}
                Step::Wait => return Ok(None),
                Step::Yield(frame) => return Ok(Some(frame)),
            }
        }
    }

    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let State::Data { id, left, .. } = self.state else {
            return None;
        };
        let left = left as usize;
        let body = self.assembly.room(id, left)?;
        let room = (body.capacity() - body.len()).min(left + PAST_BODY);
        Some((body, room))
    }

    fn took(&mut self, bytes: usize, input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
        let State::Data { id, left, end } = self.state else {
            return Ok(None);
        };
        let taken = bytes.min(left as usize);
        self.in_parts += taken as u64;
        let left = left - taken as u32;
        self.state = State::Data { id, left, end };
        self.assembly.took(id, taken, bytes - taken, input)
    }

    fn shrink(&mut self) {
        self.assembly.shrink();
        self.block.clear();
    }

    fn frames(&self) -> u64 {
        self.frames
    }

    fn unfinished(&self) -> Option<u64> {
        (!self.assembly.is_empty()).then_some(self.in_parts)
    }

    fn is_between_frames(&self) -> bool {
        matches!(
            self.state,
            State::Offer | State::Preface | State::Header | State::Skip(0)
        )
    }
}

/// What a message needs that this version does not have.
fn unsupported(sort: Sort, header: Header) -> Option<&'static str> {
    if header.has(flag::RESERVED_CRITICAL) {
        Some("a reserved flag must be understood and is not")
    } else if header.has(flag::STREAM) {
        Some("streams are not spoken here")
    } else if sort == Sort::Response && header.code != status::OK && header.has(flag::COMPRESSED) {
        Some("the body of an error is never compressed")
    } else {
        None
    }
}

/// Takes the first `end` bytes of `input`, of which those from `begin` are a body.
fn take_body(input: &mut BytesMut, begin: usize, end: usize) -> Bytes {
    if end - begin < COPY_BELOW {
        let body = Bytes::copy_from_slice(&input[begin..end]);
        input.advance(end);
        return body;
    }
    let mut frame = input.split_to(end);
    frame.advance(begin);
    frame.freeze()
}
