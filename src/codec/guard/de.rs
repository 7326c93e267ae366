//! The way in: a deserializer that counts levels and announced elements.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::{Guard, Guarded};

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Guarded<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(self.guard.over(deserializer))
    }
}

/// Methods that are passed on, with a guarded visitor.
macro_rules! deserialize {
    ($over:ident: $($method:ident($($arg:ident: $Type:ty),*);)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(
            self,
            $($arg: $Type,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.$method($($arg,)* self.guard.$over(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guarded<'_, D> {
    type Error = D::Error;

    deserialize! { over_open:
        deserialize_any();
        deserialize_ignored_any();
        deserialize_map();
        deserialize_seq();
    }

    deserialize! { over:
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
        deserialize_str();
        deserialize_bytes();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    /// As a borrowed one: bincode makes room for an owned one before it looks whether the input is so long.
    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_str(visitor)
    }

    /// As borrowed ones, for the same reason.
    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Visits of values that hold no others.
macro_rules! leaves {
    ($($method:ident($($value:ident: $Type:ty)?);)*) => {$(
        #[inline]
        fn $method<E: serde::de::Error>(self $(, $value: $Type)?) -> Result<V::Value, E> {
            self.inner.$method($($value)?)
        }
    )*};
}

impl<'de, V: Visitor<'de>, const OPEN: bool> Visitor<'de> for Guarded<'_, V, OPEN> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    leaves! {
        visit_bool(value: bool);
        visit_i8(value: i8);
        visit_i16(value: i16);
        visit_i32(value: i32);
        visit_i64(value: i64);
        visit_i128(value: i128);
        visit_u8(value: u8);
        visit_u16(value: u16);
        visit_u32(value: u32);
        visit_u64(value: u64);
        visit_u128(value: u128);
        visit_f32(value: f32);
        visit_f64(value: f64);
        visit_char(value: char);
        visit_str(value: &str);
        visit_borrowed_str(value: &'de str);
        visit_string(value: String);
        visit_bytes(value: &[u8]);
        visit_borrowed_bytes(value: &'de [u8]);
        visit_byte_buf(value: Vec<u8>);
        visit_none();
        visit_unit();
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let guard = self.guard.enter(D::Error::custom)?;
        self.inner.visit_some(guard.over(deserializer))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        let guard = self.guard.enter(D::Error::custom)?;
        self.inner.visit_newtype_struct(guard.over(deserializer))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let guard = self.guard.enter(A::Error::custom)?;
        if let (true, Some(elements)) = (OPEN, access.size_hint()) {
            guard.count(elements, A::Error::custom)?;
        }
        self.inner.visit_seq(Guarded::<A, OPEN> {
            inner: access,
            guard,
        })
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let guard = self.guard.enter(A::Error::custom)?;
        if let (true, Some(elements)) = (OPEN, access.size_hint()) {
            guard.count(elements, A::Error::custom)?;
        }
        self.inner.visit_map(Guarded::<A, OPEN> {
            inner: access,
            guard,
        })
    }

    /// Not yet a level: only what a variant holds is one.
    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(self.guard.over(access))
    }
}

impl<'de, A: SeqAccess<'de>, const OPEN: bool> SeqAccess<'de> for Guarded<'_, A, OPEN> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if OPEN && self.inner.size_hint().is_none() {
            self.guard.count(1, A::Error::custom)?;
        }
        self.inner.next_element_seed(self.guard.over(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>, const OPEN: bool> MapAccess<'de> for Guarded<'_, A, OPEN> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if OPEN && self.inner.size_hint().is_none() {
            self.guard.count(1, A::Error::custom)?;
        }
        self.inner.next_key_seed(self.guard.over(seed))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(self.guard.over(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'a, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Guarded<'a, A> {
    type Error = A::Error;
    type Variant = Guarded<'a, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(self.guard.over(seed))?;
        Ok((value, self.guard.over(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let guard = self.guard.enter(A::Error::custom)?;
        self.inner.newtype_variant_seed(guard.over(seed))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.guard.over(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.guard.over(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}

impl<'a> Guard<'a> {
    #[inline]
    fn over_open<V>(self, visitor: V) -> Guarded<'a, V, true> {
        Guarded {
            inner: visitor,
            guard: self,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use bytes::Bytes;
    use serde::{Deserialize, de::value::Error, forward_to_deserialize_any};

    use super::{super::Tally, *};

    /// Lends text and bytes, and fails where it is asked for owned ones.
    struct Lends;

    impl<'de> Deserializer<'de> for Lends {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("not asked to lend"))
        }

        fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_borrowed_str("lent")
        }

        fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_borrowed_bytes(b"lent")
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    fn lent<'de, T: Deserialize<'de>>() -> T {
        let tally = Tally::new(0);
        let seed = Guarded::root(PhantomData, &tally);
        seed.deserialize(Lends).unwrap()
    }

    #[test]
    fn no_codec_is_asked_to_make_room_for_owned_text_or_bytes() {
        assert_eq!(lent::<String>(), "lent");
        assert_eq!(lent::<Bytes>(), "lent");
    }
}
