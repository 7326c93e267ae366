//! Frames by hand: an encoder and a decoder that share nothing with those of the library but the numbers.

use std::{fmt, iter};

use steeple::wire::numbers::{deadline, flag, kind, metadata, status};

/// A frame as a test writes or expects it. Of a call, `method` is its name, however it travels.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) code: u16,
    pub(crate) id: u32,
    pub(crate) aux: u32,
    pub(crate) method: Option<String>,
    pub(crate) meta: Vec<(u8, Vec<u8>)>,
    pub(crate) total: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// A HELLO that raises no limit.
pub(crate) fn hello() -> Frame {
    Frame::new(kind::HELLO, 0)
}

/// A request that names its method.
pub(crate) fn request(id: u32, method: &str) -> Frame {
    Frame {
        method: Some(method.into()),
        ..Frame::new(kind::REQUEST, id)
    }
}

/// A message without an answer.
pub(crate) fn one_way(method: &str) -> Frame {
    Frame {
        method: Some(method.into()),
        ..Frame::new(kind::ONEWAY, 0)
    }
}

/// A success without a body.
pub(crate) fn response(id: u32) -> Frame {
    Frame::new(kind::RESPONSE, id)
}

/// More of a message.
pub(crate) fn data(id: u32, body: &[u8]) -> Frame {
    Frame::new(kind::DATA, id).body(body)
}

/// A message taken back.
pub(crate) fn cancel(id: u32, reason: u16) -> Frame {
    Frame::new(kind::CANCEL, id).code(reason)
}

pub(crate) fn ping(nonce: u32) -> Frame {
    Frame::new(kind::PING, 0).aux(nonce)
}

pub(crate) fn pong(nonce: u32) -> Frame {
    Frame::new(kind::PONG, 0).aux(nonce)
}

/// A farewell without a text.
pub(crate) fn goaway(reason: u16) -> Frame {
    Frame::new(kind::GOAWAY, 0).code(reason)
}

/// A method's number; its bodies are raw.
pub(crate) fn bind(number: u16, method: &str) -> Frame {
    let mut payload = vec![method.len() as u8];
    payload.extend(method.as_bytes());
    Frame::new(kind::BIND, 0).code(number).body(&payload)
}

/// The status of an answer, whether no handler ran, and its text.
pub(crate) fn status_of(frame: &Frame) -> (u16, bool, String) {
    assert_eq!(frame.kind, kind::RESPONSE, "{frame:?}");
    let not_processed = frame.code & status::NOT_PROCESSED != 0;
    let text = frame.body.get(2..).unwrap_or_default();
    let text = String::from_utf8_lossy(text).into();
    (frame.code & !status::NOT_PROCESSED, not_processed, text)
}

impl Frame {
    pub(crate) fn new(kind: u8, id: u32) -> Self {
        Self {
            kind,
            id,
            ..Self::default()
        }
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().into();
        self
    }

    pub(crate) fn code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn aux(mut self, aux: u32) -> Self {
        self.aux = aux;
        self
    }

    pub(crate) fn flags(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }

    /// The first part of a message of this length.
    pub(crate) fn of_total(mut self, total: u64) -> Self {
        self.total = Some(total);
        self
    }

    /// The last part of a message.
    pub(crate) fn end(self) -> Self {
        self.flags(flag::END)
    }

    pub(crate) fn meta(mut self, key: u8, value: impl AsRef<[u8]>) -> Self {
        self.meta.push((key, value.as_ref().into()));
        self
    }

    /// Metadata of the user's.
    pub(crate) fn named(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let mut entry = vec![name.len() as u8];
        entry.extend(name.as_bytes());
        entry.extend(value.as_ref());
        self.meta(metadata::NAMED, entry)
    }

    /// The time that remains of a request, in microseconds.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self.aux {
            deadline::NONE => None,
            deadline::IN_METADATA => {
                let (_, value) = self
                    .meta
                    .iter()
                    .find(|(key, _)| *key == metadata::DEADLINE)?;
                Some(u64::from_le_bytes(value[..].try_into().unwrap()))
            }
            micros => Some(micros.into()),
        }
    }

    /// The frame as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut flags = self.flags;
        let mut meta = self.meta.clone();
        if let Some(method) = &self.method {
            let name = iter::once(0).chain(method.bytes());
            meta.insert(0, (metadata::METHOD, name.collect()));
        }
        let mut payload = Vec::new();
        if !meta.is_empty() {
            flags |= flag::META;
            let mut block = Vec::new();
            for (key, value) in &meta {
                block.push(*key);
                block.extend((value.len() as u16).to_le_bytes());
                block.extend(value);
            }
            payload.extend((block.len() as u16).to_le_bytes());
            payload.extend(block);
        }
        if let Some(total) = self.total {
            flags |= flag::MORE;
            payload.extend(total.to_le_bytes());
        }
        payload.extend(&self.body);
        let mut bytes = header(payload.len() as u32, self.kind, flags);
        bytes.extend(self.code.to_le_bytes());
        bytes.extend(self.id.to_le_bytes());
        bytes.extend(self.aux.to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    /// The frame at the front of `input`, which is taken from it.
    pub(crate) fn decode(input: &mut Vec<u8>) -> Option<Self> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(input.get(at..at + 4)?.try_into().ok()?));
        let len = u32_at(0)? as usize;
        let (word, id, aux) = (u32_at(4)?, u32_at(8)?, u32_at(12)?);
        let mut rest = input.get(16..16 + len)?.to_vec();
        input.drain(..16 + len);
        let mut frame = Self {
            code: (word >> 16) as u16,
            aux,
            ..Self::new(word as u8, id)
        };
        let flags = (word >> 8) as u8;
        let is_message = [kind::REQUEST, kind::RESPONSE, kind::ONEWAY].contains(&frame.kind);
        if is_message && flags & flag::META != 0 {
            let len = u16::from_le_bytes([rest[0], rest[1]]).into();
            frame.meta = entries(&rest[2..][..len]);
            rest.drain(..2 + len);
        }
        if is_message && flags & flag::MORE != 0 {
            frame.total = Some(u64::from_le_bytes(rest[..8].try_into().unwrap()));
            rest.drain(..8);
        }
        frame.flags = flags & !(flag::META | flag::MORE | flag::RAW);
        if let Some(at) = frame
            .meta
            .iter()
            .position(|(key, _)| *key == metadata::METHOD)
        {
            let (_, value) = frame.meta.remove(at);
            frame.method = Some(String::from_utf8(value[1..].to_vec()).unwrap());
        }
        frame.body = rest;
        Some(frame)
    }
}

/// The first bytes of a frame.
fn header(len: u32, kind: u8, flags: u8) -> Vec<u8> {
    let mut bytes = len.to_le_bytes().to_vec();
    bytes.extend([kind, flags]);
    bytes
}

fn entries(mut block: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut entries = Vec::new();
    while let [key, a, b, rest @ ..] = block {
        let (value, after) = rest.split_at(u16::from_le_bytes([*a, *b]).into());
        entries.push((*key, value.to_vec()));
        block = after;
    }
    entries
}

/// Prints a name for the kind, and the size of a body that is long.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 13] = [
            "0", "HELLO", "REQUEST", "RESPONSE", "ONEWAY", "DATA", "CANCEL", "7", "PING", "PONG",
            "GOAWAY", "11", "BIND",
        ];
        let name = NAMES.get(usize::from(self.kind)).copied();
        let name = name.unwrap_or(if self.kind == kind::PAD { "PAD" } else { "?" });
        write!(
            f,
            "{name} id {} code {:#x} flags {:#x}",
            self.id, self.code, self.flags
        )?;
        write!(
            f,
            " aux {} {:?} {:?} {:?}",
            self.aux, self.method, self.meta, self.total
        )?;
        match self.body.len() {
            0..100 => write!(f, " {:?}", String::from_utf8_lossy(&self.body)),
            len => write!(f, " {len} bytes"),
        }
    }
}
