//! MessagePack, by rmp-serde.

use bytes::{BufMut, BytesMut};
use rmp_serde::{Deserializer, Serializer, decode::Error as DecodeError};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, IgnoredAny},
};

use super::{Codec, guard};
use crate::{Encoding, Error, wire::numbers::encoding};

/// Values as MessagePack: JSON's shapes in fewer bytes.
///
/// Structs are written as maps by name, so that either side may gain fields with a default; arrays are
/// read too. `Some(None)` reads as `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsgPack;

impl Codec for MsgPack {
    fn encoding(&self) -> Encoding {
        encoding::MSGPACK
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut BytesMut) -> Result<(), Error> {
        guard::encode(self.encoding(), value, |value| {
            value.serialize(&mut Serializer::new(out.writer()).with_struct_map())
        })
    }

    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, Error> {
        guard::decode(self.encoding(), bytes, |seed| {
            let mut deserializer = Deserializer::from_read_ref(bytes);
            let value = seed.deserialize(&mut deserializer)?;
            // To ask for a bool reads no further than a marker, or fails to for want of bytes.
            let left = match bool::deserialize(&mut deserializer) {
                Err(DecodeError::InvalidMarkerRead(_)) => 0,
                _ => (bytes.len() - length_of_first(bytes)?).max(1),
            };
            Ok((value, left))
        })
    }
}

/// The length of the first value of `bytes`. The deserializer that borrows does not tell its position, the
/// one that copies does; so this is read once more, and only where an error is certain.
#[cold]
fn length_of_first(bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut deserializer = Deserializer::new(std::io::Cursor::new(bytes));
    IgnoredAny::deserialize(&mut deserializer)?;
    Ok(deserializer.position() as usize)
}
