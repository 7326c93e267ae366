//! A message that waits for its body.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;

use crate::{
    Body, Carry, Encoding, Error, Execution, Kind, Method, Request, Response,
    wire::{
        Frame, Id,
        numbers::{deadline, encoding, flag, kind, status},
    },
};

use super::{
    bindings::{self, Incoming},
    header::Header,
    meta::Entries,
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

/// All of a message but its body.
#[derive(Debug)]
pub(super) enum Head {
    Request {
        id: Id,
        remaining: Option<Duration>,
        request: Request<Body>,
        raw: bool,
    },
    OneWay {
        request: Request<Body>,
        raw: bool,
    },
    Response {
        id: Id,
        code: u16,
        raw: bool,
        entries: Entries,
    },
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
        mut entries: Entries,
        bindings: &Incoming,
        served: &[Encoding],
    ) -> Result<Self, Error> {
        let raw = header.has(flag::RAW);
        if sort == Sort::Response {
            return Ok(Self::Response {
                id: header.id,
                code: header.code,
                raw,
                entries,
            });
        }
        let (method, bound) = method(sort, header.code, &mut entries, bindings)?;
        if let Some(text) = bindings::refusal(bound, served) {
            return Err(sort.refusal(Kind::Invalid, text));
        }
        let mut request = Request::new(method, Body::empty());
        request.set_encoding(bound);
        request.cx_mut().set_attempt(entries.attempt);
        *request.metadata_mut() = entries.user;
        if sort == Sort::OneWay {
            request.cx_mut().set_one_way(true);
            return Ok(Self::OneWay { request, raw });
        }
        let remaining = match header.aux {
            deadline::NONE => None,
            deadline::IN_METADATA => Some(entries.deadline.ok_or_else(|| {
                let text = "the deadline should be in the metadata and is not";
                sort.refusal(Kind::Invalid, text)
            })?),
            micros => Some(Duration::from_micros(micros.into())),
        };
        Ok(Self::Request {
            id: header.id,
            remaining,
            request,
            raw,
        })
    }

    pub(super) fn sort(&self) -> Sort {
        match self {
            Self::Request { .. } => Sort::Request,
            Self::OneWay { .. } => Sort::OneWay,
            Self::Response { .. } => Sort::Response,
        }
    }

    /// The whole message.
    pub(super) fn complete(self, bytes: Bytes) -> Frame {
        match self {
            Self::Request {
                id,
                remaining,
                mut request,
                raw,
            } => {
                let encoding = encoding_of(raw, request.encoding());
                *request.body_mut() = Body::encoded(bytes, encoding);
                Frame::Request {
                    id,
                    remaining,
                    request,
                }
            }
            Self::OneWay { mut request, raw } => {
                let encoding = encoding_of(raw, request.encoding());
                *request.body_mut() = Body::encoded(bytes, encoding);
                Frame::OneWay(request)
            }
            Self::Response {
                id,
                code: status::OK,
                raw,
                entries,
            } => {
                let encoding = encoding_of(raw, encoding::BOUND);
                let mut response = Response::new(Body::encoded(bytes, encoding));
                *response.metadata_mut() = entries.user;
                let result = Ok(response);
                Frame::Response { id, result }
            }
            Self::Response {
                id,
                code,
                raw,
                entries,
            } => {
                let result = Err(errors::decode(code, raw, entries, &bytes));
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
fn method(
    sort: Sort,
    number: u16,
    entries: &mut Entries,
    bindings: &Incoming,
) -> Result<(Method, Encoding), Error> {
    if number == 0 {
        return entries.method.take().ok_or_else(|| {
            let text = "a request with method number 0 has no method in its metadata";
            sort.refusal(Kind::Invalid, text)
        });
    }
    bindings.get(number).cloned().ok_or_else(|| {
        let text = format!("method number {number} is not bound");
        sort.refusal(Kind::Invalid, text)
    })
}
