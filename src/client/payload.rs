//! What goes into a call, and what comes out of one.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Body, Codec, Error, Response,
    codec::{Arena, decode_owned, encode_borrowed},
};

/// What a call takes as its arguments: **a reference to a value**, which the client's codec encodes, or **a body
/// by value**, which passes as it is and is not copied.
///
/// | given | travels as |
/// |---|---|
/// | `&value`, of anything that is `Serialize` | its encoding by the client's codec |
/// | `"text"`, `&string`, `&bytes` | itself, uncoded: a copy of it |
/// | `bytes`, `vec`, `string`: a [`Bytes`], `Vec<u8>` or `String` | itself, uncoded |
/// | a [`Body`] | itself, in the encoding that it has |
///
/// The value may borrow. A `&Vec<u8>` is encoded number by number, since to serde it is a sequence of them: give
/// it away, or borrow a `Bytes`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the arguments of a call",
    label = "neither a reference to a value nor a body",
    note = "values are passed by reference, several as a tuple: `client.call(\"Add\", &(2, 3))`",
    note = "`Bytes`, `Vec<u8>`, `String` and `Body` are passed by value, uncoded"
)]
pub trait Payload: sealed::Payload {}

/// What the answer to a call can be taken as: a value, which is decoded; a [`Body`], as it came; or a
/// [`Response`] of either, with the metadata of the answer.
///
/// A `Bytes`, `String` or `Vec<u8>` of an uncoded answer is the answer itself, and an empty one is also `()`.
#[diagnostic::on_unimplemented(
    message = "the answer to a call cannot be taken as `{Self}`",
    note = "it can be any type that is `serde::de::DeserializeOwned + 'static`, a `steeple::Body`, or a \
            `steeple::Response` of one of these"
)]
pub trait Answer: sealed::Answer {}

impl<T: sealed::Payload> Payload for T {}

impl<T: sealed::Answer> Answer for T {}

/// What the two traits do, which nothing else can implement.
pub(super) mod sealed {
    use super::*;

    pub trait Payload {
        fn into_body<C: Codec>(self, codec: &C, arena: &mut Arena) -> Result<Body, Error>;
    }

    pub trait Answer: Sized {
        fn from_response<C: Codec>(response: Response<Body>, codec: &C) -> Result<Self, Error>;
    }

    impl<T: Serialize + ?Sized> Payload for &T {
        fn into_body<C: Codec>(self, codec: &C, arena: &mut Arena) -> Result<Body, Error> {
            encode_borrowed(codec, self, arena)
        }
    }

    macro_rules! uncoded {
        ($($Type:ty)*) => {$(
            impl Payload for $Type {
                fn into_body<C: Codec>(self, _: &C, _: &mut Arena) -> Result<Body, Error> {
                    Ok(self.into())
                }
            }
        )*};
    }

    uncoded! { Body Bytes String Vec<u8> }

    impl<T: DeserializeOwned + 'static> Answer for T {
        fn from_response<C: Codec>(response: Response<Body>, codec: &C) -> Result<Self, Error> {
            // The handler has run, whatever became of its answer.
            decode_owned(codec, response.into_body()).map_err(Error::executed)
        }
    }

    impl Answer for Body {
        fn from_response<C: Codec>(response: Response<Body>, _: &C) -> Result<Self, Error> {
            Ok(response.into_body())
        }
    }

    impl<T: Answer> Answer for Response<T> {
        fn from_response<C: Codec>(mut response: Response<Body>, codec: &C) -> Result<Self, Error> {
            let body = std::mem::take(response.body_mut());
            let value = T::from_response(Response::new(body), codec)?;
            Ok(response.map(|_| value))
        }
    }
}
