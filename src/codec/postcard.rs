//! postcard.

use bytes::BytesMut;
use postcard::{Deserializer, ser_flavors::Flavor, serialize_with_flavor};
use serde::{Deserialize, Serialize, de::DeserializeSeed};

use super::{Codec, guard};
use crate::{Encoding, Error, wire::numbers::encoding};

/// Values as postcard: integers of variable width, about a fifth smaller than bincode's.
///
/// Not self-describing, with the same conditions as bincode's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Postcard;

impl Codec for Postcard {
    fn encoding(&self) -> Encoding {
        encoding::POSTCARD
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut BytesMut) -> Result<(), Error> {
        guard::encode(self.encoding(), value, |value| {
            serialize_with_flavor(value, Out(out))
        })
    }

    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, Error> {
        guard::decode(self.encoding(), bytes, |seed| {
            let mut deserializer = Deserializer::from_bytes(bytes);
            let value = seed.deserialize(&mut deserializer)?;
            Ok((value, deserializer.finalize()?.len()))
        })
    }
}

/// postcard's own output to a growing buffer goes byte by byte.
struct Out<'a>(&'a mut BytesMut);

impl Flavor for Out<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
