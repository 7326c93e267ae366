//! Text and bytes travel as they are, whatever the codec.
//!
//! Which types these are is found by asking: [`encode`] lets the value write itself to a serializer that
//! takes text and bytes and refuses all else at the first call. It is resolved per type when the program is
//! compiled, so for a struct nothing of it is left. [`Raw`] is its mirror.

use std::fmt::{self, Write};

use bytes::BytesMut;
use serde::{
    Deserialize, Serialize,
    de::{self, Deserializer, Expected, Visitor, value::Error},
    ser::{self, Impossible, Serializer},
};

/// Appends the text or the bytes that `value` is; false, and nothing appended, if it is anything else.
///
/// `human_readable` is what the codec answers that would encode it otherwise: some types are text to one
/// codec and a number to another.
#[inline]
pub(super) fn encode<T: Serialize + ?Sized>(
    value: &T,
    human_readable: bool,
    out: &mut BytesMut,
) -> bool {
    let before = out.len();
    let probe = Probe {
        out,
        human_readable,
    };
    let raw = value.serialize(probe).is_ok();
    if !raw {
        out.truncate(before);
    }
    raw
}

/// Takes `bytes` as the value of a type that is text or bytes. No bytes at all are also `()`.
#[inline]
pub(super) fn decode<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    human_readable: bool,
) -> Result<T, Error> {
    T::deserialize(Raw {
        bytes,
        human_readable,
    })
}

struct Probe<'a> {
    out: &'a mut BytesMut,
    human_readable: bool,
}

/// The value is neither text nor bytes.
#[derive(Debug)]
struct NotRaw;

/// Methods of the probe that refuse.
macro_rules! refuse {
    ($($method:ident($($Arg:ty),*) -> $Ok:ty;)*) => {$(
        #[inline]
        fn $method(self $(, _: $Arg)*) -> Result<$Ok, NotRaw> {
            Err(NotRaw)
        }
    )*};
}

impl Serializer for Probe<'_> {
    type Ok = ();
    type Error = NotRaw;
    type SerializeSeq = Impossible<(), NotRaw>;
    type SerializeTuple = Impossible<(), NotRaw>;
    type SerializeTupleStruct = Impossible<(), NotRaw>;
    type SerializeTupleVariant = Impossible<(), NotRaw>;
    type SerializeMap = Impossible<(), NotRaw>;
    type SerializeStruct = Impossible<(), NotRaw>;
    type SerializeStructVariant = Impossible<(), NotRaw>;

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), NotRaw> {
        self.serialize_bytes(text.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), NotRaw> {
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, text: &T) -> Result<(), NotRaw> {
        write!(self.out, "{text}").map_err(|_| NotRaw)
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_i128(i128) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_u128(u128) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), NotRaw> {
        Err(NotRaw)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), NotRaw> {
        Err(NotRaw)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), NotRaw> {
        Err(NotRaw)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.human_readable
    }
}

impl ser::Error for NotRaw {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl std::error::Error for NotRaw {}

impl fmt::Display for NotRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither text nor bytes")
    }
}

/// Bytes that are text or bytes to whoever asks.
struct Raw<'de> {
    bytes: &'de [u8],
    human_readable: bool,
}

impl Raw<'_> {
    #[cold]
    fn refuse(self, expected: &dyn Expected) -> Error {
        de::Error::custom(format_args!(
            "the body is raw bytes, and {expected} was expected"
        ))
    }
}

/// Methods of [`Raw`] for what it cannot be.
macro_rules! expect_other {
    ($($method:ident($($Arg:ty),*);)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $(_: $Arg,)* visitor: V) -> Result<V::Value, Error> {
            Err(self.refuse(&visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Raw<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match std::str::from_utf8(self.bytes) {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(_) => visitor.visit_borrowed_bytes(self.bytes),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = std::str::from_utf8(self.bytes)
            .map_err(|error| de::Error::custom(format_args!("the body is not text: {error}")))?;
        visitor.visit_borrowed_str(text)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.bytes)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.bytes {
            [] => visitor.visit_unit(),
            _ => Err(self.refuse(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    expect_other! {
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_option();
        deserialize_newtype_struct(&'static str);
        deserialize_seq();
        deserialize_tuple(usize);
        deserialize_tuple_struct(&'static str, usize);
        deserialize_map();
        deserialize_struct(&'static str, &'static [&'static str]);
        deserialize_enum(&'static str, &'static [&'static str]);
        deserialize_identifier();
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.human_readable
    }
}
