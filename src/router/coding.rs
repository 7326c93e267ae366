//! Values in the bodies of requests and answers, by the codec that the caller chose.

use std::{any::Any, cell::RefCell};

use bytes::BytesMut;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Body, Codec, Encoding, Error, Kind,
    codec::{self, AnyCodec, Arena},
    wire::numbers::encoding::name,
};

thread_local! {
    /// Where answers are encoded. One for each thread: it needs no lock, and no way through the layers between
    /// a router and its handlers.
    static ARENA: RefCell<Arena> = RefCell::new(Arena::new());
}

/// The value in a body.
pub(super) fn decode<T: DeserializeOwned + 'static>(body: Body) -> Result<T, Error> {
    match AnyCodec::of(body.encoding()) {
        Some(codec) => codec::decode_owned(&codec, body),
        None => codec::decode_owned(&Uncoded(body.encoding()), body),
    }
}

/// The body of an answer in this encoding. `()` is no body at all.
pub(super) fn encode<T>(encoding: Encoding, value: T) -> Result<Body, Error>
where
    T: Serialize + 'static,
{
    if (&value as &dyn Any).is::<()>() {
        return Ok(Body::empty());
    }
    let encode = |arena: &mut Arena| match AnyCodec::of(encoding) {
        Some(codec) => codec::encode_owned(&codec, value, arena),
        None => codec::encode_owned(&Uncoded(encoding), value, arena),
    };
    ARENA.with(|arena| match arena.try_borrow_mut() {
        Ok(mut arena) => encode(&mut arena),
        // Within a value that is being encoded.
        Err(_) => encode(&mut Arena::new()),
    })
}

/// Why a value cannot be encoded, or decoded, for lack of a codec.
pub(super) fn no_codec(encoding: Encoding, value: &str) -> Error {
    let text = match encoding {
        Encoding::RAW => {
            format!("the caller speaks raw bytes only, and {value} has to be encoded")
        }
        other => {
            let (name, number) = (name(other), other.number());
            format!("there is no codec here for the encoding of the caller, {name} ({number})")
        }
    };
    Error::new(Kind::Invalid, text)
}

/// Stands for an encoding without a codec: text and bytes pass it raw, and all else is refused.
#[derive(Clone)]
struct Uncoded(Encoding);

impl Codec for Uncoded {
    fn encoding(&self) -> Encoding {
        self.0
    }

    fn is_human_readable(&self) -> bool {
        true
    }

    fn encode<T: Serialize + ?Sized>(&self, _: &T, _: &mut BytesMut) -> Result<(), Error> {
        Err(no_codec(self.0, "the answer"))
    }

    fn decode<'de, T: Deserialize<'de>>(&self, _: &'de [u8]) -> Result<T, Error> {
        Err(no_codec(self.0, "the argument"))
    }
}
