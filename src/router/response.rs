//! From what a handler returns to the answer.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;

use super::coding;
use crate::{Body, Encoding, Error, Request, Response};

/// What a handler may return.
///
/// | type | answer |
/// |---|---|
/// | `()`, or nothing | an empty body |
/// | numbers, text, [`Bytes`], collections, tuples, `Option` | the value |
/// | [`Reply<T>`] | any other value that is `Serialize` |
/// | [`Response`], [`Body`] | as it is |
/// | `Result<T, E>` | any of these, or the error, whatever is `Into<Error>` |
///
/// A `Result` takes any value as it is; only a value of one's own that stands alone is in a [`Reply`]. The reason
/// is that serde takes a `Result` for a value too: were all values allowed, an error that is `Serialize` would
/// travel as a success.
///
/// Or implement it for a type of your own:
///
/// ```
/// use serde::Serialize;
/// use steeple::{Error, Response, Router, router::{Encoder, IntoResponse}};
///
/// #[derive(Serialize)]
/// struct Quote {
///     cents: u64,
/// }
///
/// impl IntoResponse for Quote {
///     fn into_response(self, encoder: Encoder) -> Result<Response, Error> {
///         let mut response = Response::new(encoder.encode(self)?);
///         response.metadata_mut().insert("currency", "EUR");
///         Ok(response)
///     }
/// }
///
/// let router: Router = Router::new().route("Price", || Quote { cents: 250 });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a handler returns",
    label = "not `IntoResponse`",
    note = "a value of one's own that is `Serialize` is returned as `Result<{Self}, steeple::Error>`, or in a `steeple::router::Reply`"
)]
pub trait IntoResponse {
    /// The answer, its values encoded by `encoder`.
    ///
    /// # Errors
    /// The answer is this error. Whatever it says of its execution, the caller is told that the handler
    /// [was executed](Error::executed).
    fn into_response(self, encoder: Encoder) -> Result<Response, Error>;
}

/// A value of one's own as the whole answer of a handler that does not fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply<T>(pub T);

/// What a handler's `Result` holds when it is well: any value that is `Serialize`, a [`Response`] or a [`Body`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an answer",
    label = "neither `serde::Serialize` nor a `Response`",
    note = "derive `serde::Serialize` for it"
)]
pub trait Payload {
    /// The answer, encoded by `encoder`.
    ///
    /// # Errors
    /// The value cannot be encoded.
    fn into_answer(self, encoder: Encoder) -> Result<Response, Error>;
}

/// Encodes an answer as its caller asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Encoder(Encoding);

impl Encoder {
    pub(super) fn of(request: &Request) -> Self {
        Self(match request.encoding() {
            Encoding::RAW => request.body().encoding(),
            encoding => encoding,
        })
    }

    /// The encoding of this answer's values.
    pub fn encoding(self) -> Encoding {
        self.0
    }

    /// The body that `value` travels as. Text and bytes travel [raw](Encoding::RAW), and `()` as no bytes.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid): the value cannot be encoded, or this build has no codec for the
    /// encoding.
    pub fn encode<T: Serialize + 'static>(self, value: T) -> Result<Body, Error> {
        coding::encode(self.0, value)
    }
}

impl<T: Serialize + 'static> Payload for T {
    fn into_answer(self, encoder: Encoder) -> Result<Response, Error> {
        encoder.encode(self).map(Response::new)
    }
}

impl Payload for Response {
    fn into_answer(self, _: Encoder) -> Result<Response, Error> {
        Ok(self)
    }
}

impl Payload for Body {
    fn into_answer(self, _: Encoder) -> Result<Response, Error> {
        Ok(Response::new(self))
    }
}

impl<T: Serialize + 'static> IntoResponse for Reply<T> {
    fn into_response(self, encoder: Encoder) -> Result<Response, Error> {
        self.0.into_answer(encoder)
    }
}

impl<T: Payload, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self, encoder: Encoder) -> Result<Response, Error> {
        self.map_err(Into::into)?.into_answer(encoder)
    }
}

/// Values that need no [`Reply`] around them.
macro_rules! values {
    ($([$($generics:tt)*] $Value:ty;)*) => {$(
        impl<$($generics)*> IntoResponse for $Value
        where
            Self: Payload,
        {
            fn into_response(self, encoder: Encoder) -> Result<Response, Error> {
                self.into_answer(encoder)
            }
        }
    )*};
}

values! {
    [] (); [] bool; [] char;
    [] u8; [] u16; [] u32; [] u64; [] u128; [] usize;
    [] i8; [] i16; [] i32; [] i64; [] i128; [] isize;
    [] f32; [] f64;
    [] String; [] &'static str; [] Cow<'static, str>; [] Bytes; [] Duration;
    [] Response; [] Body;
    [T] Option<T>; [T] Box<T>; [T] Vec<T>; [T] VecDeque<T>; [T] BTreeSet<T>; [T, H] HashSet<T, H>;
    [K, V] BTreeMap<K, V>; [K, V, H] HashMap<K, V, H>;
    [T, const N: usize] [T; N];
    [A] (A,); [A, B] (A, B); [A, B, C] (A, B, C); [A, B, C, D] (A, B, C, D);
    [A, B, C, D, E] (A, B, C, D, E); [A, B, C, D, E, F] (A, B, C, D, E, F);
}
