//! The half that writes.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    Body, Error, Kind, Request, Response,
    wire::{
        Chunk, Encoder, Hello, Id, Lane, Out, Reason,
        compression::plain_len,
        numbers::{
            deadline, encoding, flag, floor, kind,
            limit::{CHUNK, MAX_FAREWELL, MAX_METHOD},
            metadata, status,
        },
    },
};

use super::{
    Native,
    bindings::{self, Outgoing},
    bulk::Bulk,
    header::Header,
    meta::Block,
    opening, reason, status as errors, truncated,
};

/// Writes the native wire. None of its frames is longer than the floor allows: the pieces of a long body and
/// the largest metadata fit together.
#[derive(Debug)]
pub struct NativeEncoder {
    hello: Hello,
    send_causes: bool,
    /// Whether the preface is written.
    opened: bool,
    /// The peer's limits that matter here.
    max_message: u64,
    max_bindings: u16,
    bindings: Outgoing,
    /// The metadata of the message at hand.
    block: Block,
    bulk: Bulk,
}

impl NativeEncoder {
    pub(super) fn new(native: &Native) -> Self {
        Self {
            hello: native.limits.hello(),
            send_causes: native.send_causes,
            opened: false,
            max_message: floor::MAX_MESSAGE,
            max_bindings: floor::MAX_BINDINGS,
            bindings: Outgoing::new(),
            block: Block::new(),
            bulk: Bulk::default(),
        }
    }

    /// A request or a one-way message: `header` has its kind and id.
    fn call(
        &mut self,
        mut header: Header,
        request: &Request<Body>,
        remaining: Option<Duration>,
        out: &mut Out,
    ) -> Result<Lane, Error> {
        let (method, body) = (request.method(), request.body());
        let mut bound = request.encoding();
        if bound.is_raw() {
            bound = body.encoding();
        }
        if body.encoding() != bound {
            if !body.encoding().is_raw() {
                return Err(invalid(format!(
                    "the body is in encoding {} and the answer is asked for in {}",
                    body.encoding().number(),
                    bound.number()
                )));
            }
            header.flags |= flag::RAW;
        }
        header.flags |= compressed_flag(body);
        if bound == encoding::BOUND {
            return Err(invalid(format!("encoding {} is reserved", bound.number())));
        }
        self.fits(body)?;

        self.block.clear();
        let (number, is_new) = match self.bindings.get(method, bound) {
            Some(number) => (number, false),
            None if method.as_str().len() > MAX_METHOD => {
                return Err(invalid(format!(
                    "a method name of {} bytes exceeds the limit {MAX_METHOD}",
                    method.as_str().len()
                )));
            }
            None => (self.bindings.next(self.max_bindings).unwrap_or(0), true),
        };
        if number == 0 {
            let name = method.as_str().as_bytes();
            self.block.put(metadata::METHOD, &[bound.number()], name)?;
        }
        header.code = number;
        header.aux = self.deadline(remaining)?;
        let attempt = request.cx().attempt();
        if attempt > 0 {
            self.block
                .put(metadata::ATTEMPT, &attempt.to_le_bytes(), &[])?;
        }
        self.block.put_user(request.metadata())?;

        // Nothing can fail any more.
        if is_new && number > 0 {
            self.bindings.bind(method, bound, number);
            let mut header = Header::new(kind::BIND);
            header.code = number;
            frame(header, &bindings::encode(method, bound), out);
        }
        Ok(self.message(header, body.as_bytes(), out))
    }

    /// The header's field for a deadline, or the metadata if it is too narrow.
    fn deadline(&mut self, remaining: Option<Duration>) -> Result<u32, Error> {
        let Some(remaining) = remaining else {
            return Ok(deadline::NONE);
        };
        // Less than a microsecond is still a deadline.
        let micros = remaining.as_micros().max(1);
        match u32::try_from(micros) {
            Ok(micros) if micros != deadline::IN_METADATA => Ok(micros),
            _ => {
                let micros = u64::try_from(micros).unwrap_or(u64::MAX);
                self.block
                    .put(metadata::DEADLINE, &micros.to_le_bytes(), &[])?;
                Ok(deadline::IN_METADATA)
            }
        }
    }

    /// Refuses a body that the peer would refuse.
    fn fits(&self, body: &Body) -> Result<(), Error> {
        let len = plain_len(body);
        if len > self.max_message {
            return Err(invalid(format!(
                "a body of {len} bytes exceeds the peer's max_message ({})",
                self.max_message
            )));
        }
        Ok(())
    }

    /// Writes a message with the metadata at hand, or puts it into the bulk lane.
    fn message(&mut self, mut header: Header, body: &Bytes, out: &mut Out) -> Lane {
        let meta = self.block.finish();
        if !meta.is_empty() {
            header.flags |= flag::META;
        }
        if body.len() > CHUNK {
            self.bulk.push(header, meta, body);
            return Lane::Bulk;
        }
        header.len = (meta.len() + body.len()) as u32;
        out.put(&header.encode());
        if !meta.is_empty() {
            out.put(meta);
        }
        out.put_body(body);
        Lane::Whole
    }

    /// The metadata and the flags of a success.
    fn success(&mut self, response: &Response<Body>) -> Result<u8, Error> {
        self.fits(response.body())?;
        self.block.put_user(response.metadata())?;
        let body = response.body();
        Ok(raw_flag(body.encoding().is_raw()) | compressed_flag(body))
    }
}

impl Encoder for NativeEncoder {
    fn hello(&mut self, out: &mut Out) {
        self.preface(out);
        frame(Header::new(kind::HELLO), &opening::encode(&self.hello), out);
    }

    /// Once, whoever asks first.
    fn preface(&mut self, out: &mut Out) {
        if !self.opened {
            self.opened = true;
            out.put(&opening::preface());
        }
    }

    fn peer_hello(&mut self, hello: &Hello) {
        self.max_message = hello.max_message;
        self.max_bindings = hello.max_bindings;
    }

    fn bulk_above(&self) -> usize {
        CHUNK
    }

    fn request(
        &mut self,
        id: Id,
        request: &Request<Body>,
        remaining: Option<Duration>,
        out: &mut Out,
    ) -> Result<Lane, Error> {
        let mut header = Header::new(kind::REQUEST);
        header.id = id;
        self.call(header, request, remaining, out)
    }

    fn one_way(
        &mut self,
        id: Option<Id>,
        request: &Request<Body>,
        out: &mut Out,
    ) -> Result<Lane, Error> {
        let mut header = Header::new(kind::ONEWAY);
        header.id = id.unwrap_or(header.id);
        self.call(header, request, None, out)
    }

    fn response(
        &mut self,
        id: Id,
        result: Result<&Response<Body>, &Error>,
        out: &mut Out,
    ) -> Result<Lane, Error> {
        let mut header = Header::new(kind::RESPONSE);
        header.id = id;
        self.block.clear();
        match result {
            Ok(response) => {
                header.code = status::OK;
                header.flags = self.success(response).map_err(Error::executed)?;
                Ok(self.message(header, response.body().as_bytes(), out))
            }
            Err(error) => {
                header.code = errors::encode(error);
                errors::encode_meta(error, self.send_causes, &mut self.block)?;
                let (body, raw) = errors::encode_body(error, self.max_message);
                header.flags = raw_flag(raw);
                Ok(self.message(header, &body.into(), out))
            }
        }
    }

    fn next_chunk(&mut self, out: &mut Out) -> Option<Chunk> {
        self.bulk.next(out)
    }

    fn drop_bulk(&mut self, id: Id) -> Option<(bool, Bytes)> {
        self.bulk.remove(id)
    }

    /// The message becomes PAD. A BIND before it stays: later calls rely on it.
    fn void(&mut self, mut at: usize, out: &mut Out) -> Option<Bytes> {
        let header = |at: usize, out: &mut Out| Header::decode_front(out.flat_mut(at));
        let mut found = header(at, out)?;
        if found.kind == kind::BIND {
            at += Header::LEN + found.len as usize;
            found = header(at, out)?;
        }
        let mut body = at + Header::LEN;
        if found.has(flag::META) {
            let len = out.flat_mut(body).first_chunk().copied();
            body += 2 + usize::from(len.map_or(0, u16::from_le_bytes));
        }
        let body = out.remove_slice(body).unwrap_or_default();
        let mut pad = Header::new(kind::PAD);
        pad.len = found.len - body.len() as u32;
        out.flat_mut(at)[..Header::LEN].copy_from_slice(&pad.encode());
        Some(body)
    }

    fn cancel(&mut self, id: Id, reason: Reason, out: &mut Out) {
        let mut header = Header::new(kind::CANCEL);
        header.id = id;
        header.code = reason::encode(reason);
        out.put(&header.encode());
    }

    fn ping(&mut self, nonce: u32, out: &mut Out) {
        let mut header = Header::new(kind::PING);
        header.aux = nonce;
        out.put(&header.encode());
    }

    fn pong(&mut self, nonce: u32, out: &mut Out) {
        let mut header = Header::new(kind::PONG);
        header.aux = nonce;
        out.put(&header.encode());
    }

    fn go_away(&mut self, reason: Reason, text: &str, out: &mut Out) {
        self.preface(out);
        let mut header = Header::new(kind::GOAWAY);
        header.code = reason::encode(reason);
        frame(header, truncated(text, MAX_FAREWELL).as_bytes(), out);
    }
}

/// Writes a frame that is not a message.
fn frame(mut header: Header, payload: &[u8], out: &mut Out) {
    header.len = payload.len() as u32;
    out.put(&header.encode());
    out.put(payload);
}

fn raw_flag(raw: bool) -> u8 {
    if raw { flag::RAW } else { 0 }
}

fn compressed_flag(body: &Body) -> u8 {
    if body.is_compressed() {
        flag::COMPRESSED
    } else {
        0
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}
