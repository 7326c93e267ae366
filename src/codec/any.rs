//! A codec that is chosen at run time, by its number on the wire.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::Codec;
use crate::{Encoding, Error};

/// The one table of codecs: the feature, which is also the name in messages, the type and the number. The
/// order is that of preference.
macro_rules! codecs {
    ($($feature:literal: $Codec:ident, $number:ident;)*) => {
        /// One of the codecs of this crate whose feature is on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum AnyCodec {
            $(
                #[cfg(feature = $feature)]
                #[doc = concat!("See [`", stringify!($Codec), "`](super::", stringify!($Codec), ").")]
                $Codec(super::$Codec),
            )*
        }

        /// The encodings of the codecs that are compiled in, the preferred one first: what a server says
        /// that it serves.
        pub const fn builtin() -> &'static [Encoding] {
            &[$(#[cfg(feature = $feature)] crate::wire::numbers::encoding::$number),*]
        }

        /// The codec of this encoding; `None` if it is not one of this crate's or its feature is off.
        pub fn by_encoding(encoding: Encoding) -> Option<AnyCodec> {
            match encoding {
                $(#[cfg(feature = $feature)] crate::wire::numbers::encoding::$number => Some(super::$Codec.into()),)*
                _ => None,
            }
        }

        impl Codec for AnyCodec {
            fn encoding(&self) -> Encoding {
                match *self {
                    $(#[cfg(feature = $feature)] Self::$Codec(codec) => codec.encoding(),)*
                }
            }

            fn is_human_readable(&self) -> bool {
                match *self {
                    $(#[cfg(feature = $feature)] Self::$Codec(codec) => codec.is_human_readable(),)*
                }
            }

            fn encode<T: Serialize + ?Sized>(
                &self,
                value: &T,
                out: &mut BytesMut,
            ) -> Result<(), Error> {
                match (*self, value, out) {
                    $(
                        #[cfg(feature = $feature)]
                        (Self::$Codec(codec), value, out) => codec.encode(value, out),
                    )*
                }
            }

            fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, Error> {
                match (*self, bytes) {
                    $(#[cfg(feature = $feature)] (Self::$Codec(codec), bytes) => codec.decode(bytes),)*
                }
            }
        }

        $(
            #[cfg(feature = $feature)]
            impl From<super::$Codec> for AnyCodec {
                fn from(codec: super::$Codec) -> Self {
                    Self::$Codec(codec)
                }
            }
        )*
    };
}

codecs! {
    "bincode": Bincode, BINCODE;
    "json": Json, JSON;
    "postcard": Postcard, POSTCARD;
    "msgpack": MsgPack, MSGPACK;
}
