//! The payload of a message, as bytes and how they are encoded.

use std::fmt;

use bytes::Bytes;

/// The payload of a [`Request`](crate::Request) or [`Response`](crate::Response).
///
/// Opaque, so that bodies of other kinds can come without a second set of service types. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Body {
    bytes: Bytes,
    encoding: Encoding,
}

/// How the bytes of a [`Body`] stand for a value: the number of a codec on the wire.
///
/// Numbers below 64 are this crate's; a codec of one's own takes one from 64 to 254. The last is
/// [reserved](crate::wire::numbers::encoding::BOUND).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Encoding(u8);

impl Body {
    /// A body without bytes.
    pub const fn empty() -> Self {
        Self {
            bytes: Bytes::new(),
            encoding: Encoding::RAW,
        }
    }

    /// Bytes that stand for a value in `encoding`.
    pub const fn encoded(bytes: Bytes, encoding: Encoding) -> Self {
        Self { bytes, encoding }
    }

    /// How the bytes are encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// Bytes that are passed on as they are.
impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::encoded(bytes, Encoding::RAW)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Prints the size and not the bytes, which may be many and secret.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.len())
            .field("encoding", &self.encoding)
            .finish()
    }
}

impl Encoding {
    /// Bytes or text as they are.
    pub const RAW: Self = Self(0);

    /// The encoding of this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether the bytes are passed as they are.
    pub const fn is_raw(self) -> bool {
        self.0 == Self::RAW.0
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoding({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_known_at_compile_time_are_a_body_of_any_form() {
        for body in [b"abc".into(), b"abc".as_slice().into(), "abc".into()] {
            let body: Body = body;
            assert_eq!(body.as_ref(), b"abc");
            assert!(body.encoding().is_raw());
        }
    }
}
