//! Values ⇄ bodies: by a codec, or raw past it.

use std::{any::Any, mem};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Arena, Codec, name, raw};
use crate::{Body, Encoding, Error, Execution, Kind};

/// The body that `value` travels as.
///
/// Text and bytes – whatever gives itself to serde as a string or as bytes – become a
/// [raw](Encoding::RAW) body. So does a `Vec<u8>`, although to serde it is a sequence of numbers. A
/// [`Bytes`] is shared and not copied. All else is encoded by `codec`. Which it is, the value is asked: what
/// a `Serialize` written by hand does before its first call to the serializer may be done twice.
///
/// # Errors
/// [`Kind::Invalid`], not sent, with the codec's error as its source: the value cannot be encoded, or is
/// nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH) levels.
pub fn encode<T, C>(codec: &C, value: &T, arena: &mut Arena) -> Result<Body, Error>
where
    T: Serialize + 'static,
    C: Codec,
{
    let any: &dyn Any = value;
    if let Some(bytes) = any.downcast_ref::<Bytes>() {
        return Ok(bytes.clone().into());
    }
    if let Some(bytes) = any.downcast_ref::<Vec<u8>>() {
        let ((), bytes) = arena.write(|out| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
        return Ok(bytes.into());
    }
    encode_borrowed(codec, value, arena)
}

/// As [`encode`], of a value that is no longer needed: a [`Bytes`], `Vec<u8>` or `String` gives its memory away,
/// where `encode` shares or copies it.
///
/// # Errors
/// As [`encode`].
pub fn encode_owned<T, C>(codec: &C, value: T, arena: &mut Arena) -> Result<Body, Error>
where
    T: Serialize + 'static,
    C: Codec,
{
    let mut value = Some(value);
    let any: &mut dyn Any = &mut value;
    let body: Option<Body> = if let Some(bytes) = any.downcast_mut::<Option<Bytes>>() {
        bytes.take().map(Body::from)
    } else if let Some(bytes) = any.downcast_mut::<Option<Vec<u8>>>() {
        bytes.take().map(Body::from)
    } else if let Some(text) = any.downcast_mut::<Option<String>>() {
        text.take().map(Body::from)
    } else {
        None
    };
    match (body, value) {
        (Some(body), _) => Ok(body),
        (None, Some(value)) => encode_borrowed(codec, &value, arena),
        (None, None) => unreachable!("a value that was taken is a body"),
    }
}

/// As [`encode`], for a value that may borrow, whose type can then not be looked at: a [`Bytes`] is copied,
/// and a `Vec<u8>` or `&[u8]` is encoded number by number.
///
/// # Errors
/// As [`encode`].
pub fn encode_borrowed<T, C>(codec: &C, value: &T, arena: &mut Arena) -> Result<Body, Error>
where
    T: Serialize + ?Sized,
    C: Codec,
{
    let (encoding, bytes) = arena.write(|out| {
        if raw::encode(value, codec.is_human_readable(), out) {
            return Ok(Encoding::RAW);
        }
        codec.encode(value, out)?;
        Ok(codec.encoding())
    })?;
    Ok(Body::encoded(bytes, encoding))
}

/// The value that `body` stands for.
///
/// A raw body gives text or bytes, whatever the codec, and without any bytes also `()`; a `Bytes` of it is
/// shared and not copied. Inside of other values a `Bytes` is always a copy; to avoid that, borrow a `&[u8]`
/// with [`decode_borrowed`] and [slice](Bytes::slice_ref) the body.
///
/// # Errors
/// [`Kind::Invalid`] with a message that says what is wrong and the codec's error, if any, as its source:
/// the body is in another encoding, is raw where more than bytes was expected, does not decode, has bytes
/// left over, is nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH) levels or announces more elements than it
/// can hold. Its execution is [`Execution::MaybeExecuted`], since this function cannot know on which side of
/// the handler it is; who calls it does, and sets it.
pub fn decode<T, C>(codec: &C, body: &Body) -> Result<T, Error>
where
    T: DeserializeOwned + 'static,
    C: Codec,
{
    if body.encoding().is_raw()
        && let Some(value) = bytes_as(|| body.as_bytes().clone())
    {
        return Ok(value);
    }
    decode_borrowed(codec, body)
}

/// As [`decode`], of a body that is no longer needed: a `Bytes` or `Vec<u8>` takes its memory over, if that is
/// nobody else's, where `decode` shares or copies it.
///
/// # Errors
/// As [`decode`].
pub fn decode_owned<T, C>(codec: &C, mut body: Body) -> Result<T, Error>
where
    T: DeserializeOwned + 'static,
    C: Codec,
{
    if body.encoding().is_raw()
        && let Some(value) = bytes_as(|| mem::take(&mut body).into_bytes())
    {
        return Ok(value);
    }
    decode_borrowed(codec, &body)
}

/// As [`decode`], for a value that may borrow from `body`. A raw body is then not decoded to a `Vec<u8>`,
/// which cannot be told from other sequences.
///
/// # Errors
/// As [`decode`].
pub fn decode_borrowed<'de, T, C>(codec: &C, body: &'de Body) -> Result<T, Error>
where
    T: Deserialize<'de>,
    C: Codec,
{
    let (found, expected) = (body.encoding(), codec.encoding());
    if found.is_raw() {
        return decode_raw(body, codec.is_human_readable());
    }
    if found != expected {
        return Err(invalid(format!(
            "the body is encoded as {} ({}), {} ({}) was expected",
            name(found),
            found.number(),
            name(expected),
            expected.number(),
        )));
    }
    codec.decode(body.as_bytes())
}

/// Raw bytes as a `T` that is nothing but bytes; `None` for any other, and then they are not asked for.
fn bytes_as<T: 'static>(bytes: impl FnOnce() -> Bytes) -> Option<T> {
    let mut value = None::<T>;
    let any: &mut dyn Any = &mut value;
    if let Some(value) = any.downcast_mut::<Option<Bytes>>() {
        *value = Some(bytes());
    } else if let Some(value) = any.downcast_mut::<Option<Vec<u8>>>() {
        *value = Some(bytes().into());
    }
    value
}

pub(super) fn decode_raw<'de, T: Deserialize<'de>>(
    body: &'de Body,
    human_readable: bool,
) -> Result<T, Error> {
    raw::decode(body.as_bytes(), human_readable).map_err(|error| invalid(error.to_string()))
}

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message).with_execution(Execution::MaybeExecuted)
}
