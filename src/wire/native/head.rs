//! A message that waits for its body.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;

use crate::{
    Body, Encoding, Error, Execution, Kind, Metadata, Method, Request, Response,
    wire::{
        Frame, Id,
        numbers::{deadline, encoding, flag, kind, status},
    },
};

use super::{
    bindings::{self, Binding, Incoming},
    header::Header,
    meta::Entries,
    refusal::Refusal,
    status as errors,
};

/// What a message is: who is told when it cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// The peer is answered.
    Request,
    /// The caller on this side is.
    Response,
    /// Nobody is.
    OneWay,
}

/// What the metadata of a message said, if it has any: most have none, and then it is one null word.
pub(super) type Said = Option<Box<Entries>>;

/// All of a message but its body. Small, and made into what it stands for only when it is whole.
#[derive(Debug)]
pub(super) struct Head {
    sort: Sort,
    header: Header,
    /// What is called; of an answer, only the encoding means something.
    binding: Binding,
    said: Said,
}

impl Sort {
    /// The sort of a frame that begins a message.
    pub(super) fn of(kind: u8) -> Option<Self> {
        match kind {
            kind::REQUEST => Some(Self::Request),
            kind::RESPONSE => Some(Self::Response),
            kind::ONEWAY => Some(Self::OneWay),
            _ => None,
        }
    }

    /// The error of a message of this sort that is not taken: a request has not started, and who answers has
    /// run to the end.
    pub(super) fn refusal(self, kind: Kind, message: impl Into<Cow<'static, str>>) -> Error {
        let execution = match self {
            Self::Response => Execution::Executed,
            Self::Request | Self::OneWay => Execution::NotStarted,
        };
        Error::new(kind, message).with_execution(execution)
    }
}

impl Head {
    /// The head of a message with this header and metadata.
    ///
    /// # Errors
    /// If the message cannot be served as it is.
    pub(super) fn new(
        sort: Sort,
        header: Header,
        mut said: Said,
        bindings: &Incoming,
        served: &[Encoding],
    ) -> Result<Self, Refusal> {
        let binding = if sort == Sort::Response {
            (Method::default(), encoding::BOUND)
        } else {
            binding(header.code, &mut said, bindings, served)?
        };
        let has_deadline = said.as_ref().is_some_and(|it| it.deadline.is_some());
        if sort == Sort::Request && header.aux == deadline::IN_METADATA && !has_deadline {
            return Err(Refusal::NoDeadline);
        }
        Ok(Self {
            sort,
            header,
            binding,
            said,
        })
    }

    pub(super) fn sort(&self) -> Sort {
        self.sort
    }

    pub(super) fn id(&self) -> Id {
        self.header.id
    }

    /// The bytes that the user's metadata takes beside those that came: an entry costs far more than its frame.
    pub(super) fn weight(&self) -> usize {
        let entries = self.said.iter().flat_map(|said| said.user.iter());
        entries.map(|(name, _)| Metadata::ENTRY + name.len()).sum()
    }

    /// Whether the body is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.header.has(flag::COMPRESSED)
    }

    /// The whole message.
    pub(super) fn complete(self, bytes: Bytes) -> Frame {
        let (header, said) = (self.header, self.said);
        let id = header.id;
        let raw = header.has(flag::RAW);
        let body = |bytes, raw, bound| match header.has(flag::COMPRESSED) {
            true => body(bytes, raw, bound).into_compressed(),
            false => body(bytes, raw, bound),
        };
        let (method, bound) = self.binding;
        match self.sort {
            Sort::Request => Frame::Request {
                id,
                remaining: remaining(header.aux, &said),
                request: request(method, bound, body(bytes, raw, bound), said),
            },
            Sort::OneWay => {
                let mut request = request(method, bound, body(bytes, raw, bound), said);
                request.cx_mut().set_one_way(true);
                Frame::OneWay(request)
            }
            Sort::Response if header.code == status::OK => {
                let mut response = Response::new(body(bytes, raw, bound));
                if let Some(said) = said {
                    *response.metadata_mut() = said.user;
                }
                let result = Ok(response);
                Frame::Response { id, result }
            }
            Sort::Response => {
                let said = said.map(|said| *said).unwrap_or_default();
                let result = Err(errors::decode(header.code, raw, said, &bytes));
                Frame::Response { id, result }
            }
        }
    }
}

/// The encoding of a body, by the flag of its frame and what was bound.
pub(super) fn encoding_of(raw: bool, bound: Encoding) -> Encoding {
    if raw { Encoding::RAW } else { bound }
}

/// What is called: by its number, or, with number 0, by its name in the metadata.
fn binding(
    number: u16,
    said: &mut Said,
    bindings: &Incoming,
    served: &[Encoding],
) -> Result<Binding, Refusal> {
    let binding = match number {
        0 => said.as_mut().and_then(|said| said.method.take()),
        _ => bindings.get(number).cloned(),
    };
    let binding = binding.ok_or(match number {
        0 => Refusal::NoMethod,
        _ => Refusal::NotBound(number),
    })?;
    match bindings::is_served(binding.1, served) {
        true => Ok(binding),
        false => Err(Refusal::NotServed(binding.1)),
    }
}

pub(super) fn body(bytes: Bytes, raw: bool, bound: Encoding) -> Body {
    Body::encoded(bytes, encoding_of(raw, bound))
}

pub(super) fn remaining(aux: u32, said: &Said) -> Option<Duration> {
    match aux {
        deadline::NONE => None,
        deadline::IN_METADATA => said.as_ref()?.deadline,
        micros => Some(Duration::from_micros(micros.into())),
    }
}

pub(super) fn request(method: Method, bound: Encoding, body: Body, said: Said) -> Request<Body> {
    let mut request = Request::new(method, body);
    request.set_encoding(bound);
    if let Some(said) = said {
        request.cx_mut().set_attempt(said.attempt);
        *request.metadata_mut() = said.user;
    }
    request
}
