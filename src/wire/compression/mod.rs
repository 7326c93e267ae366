//! Bodies that are compressed, one by one.
//!
//! A compressed [`Body`] is, in memory as on the native wire, the number of the algorithm in a byte, the plain
//! length in a `u32`, and the compressed bytes. A connection compresses what is
//! [wanted so](Body::set_compression) and decompresses what it receives; who reads a wire without one meets such
//! bodies as they are and calls [`decompress`].
//!
//! The memory for a plain body is never more than its compressed bytes can stand for, whatever length they
//! announce, and never more than that length: an algorithm that gives another is an error.

#[cfg(not(all(feature = "lz4", feature = "zstd")))]
mod absent;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "zstd")]
mod zstd;

use bytes::Bytes;

#[cfg(not(feature = "lz4"))]
use self::absent as lz4;
#[cfg(not(feature = "zstd"))]
use self::absent as zstd;
use super::numbers::compression::{LZ4, PREFIX, ZSTD};
use crate::{Body, BodyCompression, Error, Kind};

/// The compressions whose features are on, the one that compresses best first.
pub const AVAILABLE: &[BodyCompression] = &[
    #[cfg(feature = "zstd")]
    BodyCompression::Zstd,
    #[cfg(feature = "lz4")]
    BodyCompression::Lz4,
];

/// What stands in front of a compressed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The number of the algorithm.
    pub(crate) number: u8,
    pub(crate) plain_len: u32,
}

/// The body compressed as [it wants](Body::compression); as it was, and without the wish, if it is not shorter then.
pub fn compress(mut body: Body) -> Body {
    let Some(compression) = body.compression() else {
        return body;
    };
    body.set_compression(None);
    let plain = body.as_bytes();
    let Ok(len) = u32::try_from(plain.len()) else {
        return body;
    };
    let shorter = match compression {
        BodyCompression::Lz4 => lz4::compress(plain),
        BodyCompression::Zstd => zstd::compress(plain),
    };
    let Some(mut bytes) = shorter else {
        return body;
    };
    bytes[0] = number(compression);
    bytes[1..PREFIX].copy_from_slice(&len.to_le_bytes());
    body.replace_bytes(bytes.into());
    body.into_compressed()
}

/// The plain body of one that is compressed; any other as it is.
///
/// # Errors
/// [`Kind::Invalid`] if the bytes are damaged or are not as long as they announce, or without the feature of their
/// algorithm.
pub fn decompress(body: Body) -> Result<Body, Error> {
    if !body.is_compressed() {
        return Ok(body);
    }
    let plain = plain(body.as_bytes()).map_err(|text| Error::new(Kind::Invalid, text))?;
    Ok(Body::encoded(plain, body.encoding()))
}

/// The length of the plain body.
pub(crate) fn plain_len(body: &Body) -> u64 {
    let len = body.len() as u64;
    if !body.is_compressed() {
        return len;
    }
    prefix(body.as_bytes()).map_or(len, |prefix| prefix.plain_len.into())
}

/// What a compressed body says of itself.
///
/// # Errors
/// A text that says why it cannot be.
pub(crate) fn prefix(bytes: &[u8]) -> Result<Prefix, String> {
    let Some(&[number, a, b, c, d]) = bytes.first_chunk::<PREFIX>() else {
        return Err(format!(
            "a compressed body has at least {PREFIX} bytes, not {}",
            bytes.len()
        ));
    };
    let plain_len = u32::from_le_bytes([a, b, c, d]);
    let most = of_number(number).map_or(u64::MAX, |compression| {
        (bytes.len() - PREFIX) as u64 * max_ratio(compression)
    });
    if u64::from(plain_len) > most {
        return Err(format!(
            "{} compressed bytes cannot stand for {plain_len}",
            bytes.len() - PREFIX
        ));
    }
    Ok(Prefix { number, plain_len })
}

/// The number of a compression on the native wire.
pub(crate) fn number(compression: BodyCompression) -> u8 {
    match compression {
        BodyCompression::Lz4 => LZ4,
        BodyCompression::Zstd => ZSTD,
    }
}

/// The compression with this number, if it is known.
pub(crate) fn of_number(number: u8) -> Option<BodyCompression> {
    match number {
        LZ4 => Some(BodyCompression::Lz4),
        ZSTD => Some(BodyCompression::Zstd),
        _ => None,
    }
}

fn plain(bytes: &[u8]) -> Result<Bytes, String> {
    let Prefix { number, plain_len } = prefix(bytes)?;
    let (len, bytes) = (plain_len as usize, &bytes[PREFIX..]);
    let plain = match of_number(number) {
        Some(BodyCompression::Lz4) => lz4::decompress(bytes, len),
        Some(BodyCompression::Zstd) => zstd::decompress(bytes, len),
        None => Err(format!("compression {number} is not known")),
    }?;
    if plain.len() != len {
        let given = plain.len();
        return Err(format!(
            "a compressed body announces {len} bytes and has {given}"
        ));
    }
    Ok(plain.into())
}

/// How many bytes a compressed byte can stand for.
const fn max_ratio(compression: BodyCompression) -> u64 {
    match compression {
        // Each further byte of a length adds at most 255.
        BodyCompression::Lz4 => 255,
        // A block of at most 128 KiB takes at least four bytes: its header and the byte that it repeats.
        BodyCompression::Zstd => 128 * 1024 / 4,
    }
}

#[cfg(test)]
mod tests;
