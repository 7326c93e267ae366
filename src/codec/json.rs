//! JSON, by serde_json.

use bytes::{BufMut, BytesMut};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, IgnoredAny},
};

use super::{Codec, guard};
use crate::{Encoding, Error, wire::numbers::encoding};

/// Values as JSON: for people, and for tools in any language.
///
/// Borrowed text decodes only if it has no escapes. Floats that are not finite become `null`; the keys of
/// a map must be text or numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    fn encoding(&self) -> Encoding {
        encoding::JSON
    }

    fn is_human_readable(&self) -> bool {
        true
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut BytesMut) -> Result<(), Error> {
        guard::encode(self.encoding(), value, |value| {
            serde_json::to_writer(out.writer(), value)
        })
    }

    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, Error> {
        guard::decode(self.encoding(), bytes, |seed| {
            let mut deserializer = serde_json::Deserializer::from_slice(bytes);
            // The guard counts instead, so that all codecs end at the same level.
            deserializer.disable_recursion_limit();
            let value = seed.deserialize(&mut deserializer)?;
            let used = deserializer.into_iter::<IgnoredAny>().byte_offset();
            Ok((value, without_leading_space(&bytes[used..]).len()))
        })
    }
}

fn without_leading_space(bytes: &[u8]) -> &[u8] {
    let space = bytes.iter().take_while(|byte| b" \t\r\n".contains(byte));
    &bytes[space.count()..]
}
