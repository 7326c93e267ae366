//! The way out: a serializer that counts levels.

use std::fmt;

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{Guard, Guarded};

impl<T: Serialize + ?Sized> Serialize for Guarded<'_, &T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(self.guard.over(serializer))
    }
}

impl<'a, S: Serializer> Guarded<'a, S> {
    #[inline]
    fn enter(self) -> Result<(S, Guard<'a>), S::Error> {
        let guard = self.guard.enter(S::Error::custom)?;
        Ok((self.inner, guard))
    }
}

/// Methods whose values hold no others.
macro_rules! leaves {
    ($($method:ident($($arg:ident: $Type:ty),*);)*) => {$(
        #[inline]
        fn $method(self, $($arg: $Type),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($arg),*)
        }
    )*};
}

/// Methods that open a value which holds others.
macro_rules! openers {
    ($($method:ident -> $Compound:ident($($arg:ident: $Type:ty),*);)*) => {$(
        #[inline]
        fn $method(self, $($arg: $Type),*) -> Result<Self::$Compound, S::Error> {
            let (inner, guard) = self.enter()?;
            Ok(guard.over(inner.$method($($arg),*)?))
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Guarded<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Guarded<'a, S::SerializeSeq>;
    type SerializeTuple = Guarded<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Guarded<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Guarded<'a, S::SerializeTupleVariant>;
    type SerializeMap = Guarded<'a, S::SerializeMap>;
    type SerializeStruct = Guarded<'a, S::SerializeStruct>;
    type SerializeStructVariant = Guarded<'a, S::SerializeStructVariant>;

    leaves! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    openers! {
        serialize_seq -> SerializeSeq(len: Option<usize>);
        serialize_tuple -> SerializeTuple(len: usize);
        serialize_tuple_struct -> SerializeTupleStruct(name: &'static str, len: usize);
        serialize_tuple_variant -> SerializeTupleVariant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        );
        serialize_map -> SerializeMap(len: Option<usize>);
        serialize_struct -> SerializeStruct(name: &'static str, len: usize);
        serialize_struct_variant -> SerializeStructVariant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        );
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let (inner, guard) = self.enter()?;
        inner.serialize_some(&guard.over(value))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (inner, guard) = self.enter()?;
        inner.serialize_newtype_struct(name, &guard.over(value))
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (inner, guard) = self.enter()?;
        inner.serialize_newtype_variant(name, index, variant, &guard.over(value))
    }

    #[inline]
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// The open values, by how they take what they hold.
macro_rules! compounds {
    ($($Compound:ident: $method:ident($($key:ident)?) $($skip:ident)?;)*) => {$(
        impl<S: $Compound> $Compound for Guarded<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: &'static str,)?
                value: &T,
            ) -> Result<(), S::Error> {
                self.inner.$method($($key,)? &self.guard.over(value))
            }

            $(
                #[inline]
                fn $skip(&mut self, key: &'static str) -> Result<(), S::Error> {
                    self.inner.$skip(key)
                }
            )?

            #[inline]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

compounds! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStruct: serialize_field(key) skip_field;
    SerializeStructVariant: serialize_field(key) skip_field;
}

impl<S: SerializeMap> SerializeMap for Guarded<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(&self.guard.over(key))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_value(&self.guard.over(value))
    }

    #[inline]
    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
