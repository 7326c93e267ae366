//! A codec that is chosen at run time, by its number on the wire.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::Codec;
use crate::{Encoding, Error};

/// The one table of codecs: the feature and the type. The order is that of preference.
macro_rules! codecs {
    ($($feature:literal: $Codec:ident;)*) => {
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

        impl AnyCodec {
            /// The codecs that are compiled in, the preferred one first.
            pub const fn all() -> &'static [Self] {
                &[$(#[cfg(feature = $feature)] Self::$Codec(super::$Codec)),*]
            }

            /// The codec of this encoding; `None` if it is not one of this crate's or its feature is off.
            pub fn of(encoding: Encoding) -> Option<Self> {
                Self::all().iter().copied().find(|codec| codec.encoding() == encoding)
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
    "bincode": Bincode;
    "json": Json;
    "postcard": Postcard;
    "msgpack": MsgPack;
}
