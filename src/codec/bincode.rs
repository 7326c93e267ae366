//! bincode 2: the one file that knows it.

use bincode::{
    config::{Configuration, Fixint, Limit, LittleEndian, legacy},
    enc::write::Writer,
    error::EncodeError,
    serde::{encode_into_writer, seed_decode_from_slice},
};
use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::{Codec, guard};
use crate::{Encoding, Error, wire::numbers::encoding};

/// Values as bincode 2 with integers of fixed width, little-endian: compact and the fastest here.
///
/// Not self-describing: both sides need the same types, and serde's `flatten`, `untagged`, `tag` and
/// `skip_serializing_if` do not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bincode;

/// The layout of bincode 1, which other libraries write too.
const CONFIG: Configuration<LittleEndian, Fixint, Limit<{ Bincode::MAX_LEN }>> =
    legacy().with_limit::<{ Bincode::MAX_LEN }>();

impl Bincode {
    /// The most bytes that are decoded, 1 GiB. A connection's own limit comes first; this one is for the
    /// library, which wants it at compile time and without it makes room for any length it reads.
    pub const MAX_LEN: usize = 1 << 30;
}

impl Codec for Bincode {
    fn encoding(&self) -> Encoding {
        encoding::BINCODE
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut BytesMut) -> Result<(), Error> {
        guard::encode(self.encoding(), value, |value| {
            encode_into_writer(value, Out(out), CONFIG)
        })
    }

    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, Error> {
        guard::decode(self.encoding(), bytes, |seed| {
            if bytes.len() > Self::MAX_LEN {
                let (len, limit) = (bytes.len(), Self::MAX_LEN);
                return Err(format!("{len} bytes exceed the limit {limit}").into());
            }
            let (value, used) = seed_decode_from_slice(seed, bytes, CONFIG)?;
            Ok((value, bytes.len() - used))
        })
    }
}

struct Out<'a>(&'a mut BytesMut);

impl Writer for Out<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
