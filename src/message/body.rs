//! The payload of a message, as bytes and how they are encoded.

use std::fmt;

use bytes::Bytes;

use super::BodyCompression;

/// The payload of a [`Request`](crate::Request) or [`Response`](crate::Response).
///
/// Opaque, so that bodies of other kinds can come without a second set of service types. Cheap to clone.
#[derive(Clone, Default)]
pub struct Body {
    bytes: Bytes,
    encoding: Encoding,
    form: Form,
}

/// What the bytes of a [`Body`] are.
///
/// A number and not an `enum`, in whose free values compilers would keep what a result is that a body is part of:
/// they would then copy around that byte, in pieces, and processors wait for what was written in other pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Form(u8);

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
            form: Form::PLAIN,
        }
    }

    /// Bytes that stand for a value in `encoding`.
    pub const fn encoded(bytes: Bytes, encoding: Encoding) -> Self {
        Self {
            bytes,
            encoding,
            form: Form::PLAIN,
        }
    }

    /// The same body, to be [compressed](Self::set_compression) on its way.
    #[must_use]
    pub fn with_compression(mut self, compression: BodyCompression) -> Self {
        self.set_compression(compression);
        self
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

    /// By what the body is to be compressed on its way, if it is.
    pub fn compression(&self) -> Option<BodyCompression> {
        match self.form {
            Form::LZ4 => Some(BodyCompression::Lz4),
            Form::ZSTD => Some(BodyCompression::Zstd),
            _ => None,
        }
    }

    /// Whether the bytes are compressed. Only of a body on a [wire](crate::wire): a connection compresses what
    /// it sends and decompresses what it receives, so that services and callers never see any of it.
    pub fn is_compressed(&self) -> bool {
        self.form == Form::COMPRESSED
    }

    /// Asks the connection to compress the body on its way; `None` takes that back.
    ///
    /// It does so if its peer decodes that and the body gets shorter by it, and sends the body as it is if not. A
    /// [`CompressionLayer`](crate::layers) asks it of all long bodies. What carries secrets should not be
    /// compressed together with what an attacker can choose: the length would tell of the secret.
    pub fn set_compression(
        &mut self,
        compression: impl Into<Option<BodyCompression>>,
    ) -> &mut Self {
        if !self.is_compressed() {
            self.form = match compression.into() {
                None => Form::PLAIN,
                Some(BodyCompression::Lz4) => Form::LZ4,
                Some(BodyCompression::Zstd) => Form::ZSTD,
            };
        }
        self
    }

    /// Puts other bytes in the place of these, that stand for the same.
    pub(crate) fn replace_bytes(&mut self, bytes: Bytes) {
        self.bytes = bytes;
    }

    /// Says how the bytes are encoded.
    pub(crate) fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// The same body of bytes that are compressed, the algorithm and the plain length in front of them.
    pub(crate) fn into_compressed(self) -> Self {
        Self {
            form: Form::COMPRESSED,
            ..self
        }
    }
}

impl Form {
    /// Themselves.
    const PLAIN: Self = Self(0);
    /// Themselves, and to be compressed on their way.
    const LZ4: Self = Self(1);
    const ZSTD: Self = Self(2);
    /// What travels: the algorithm, the plain length, and then the compressed bytes.
    const COMPRESSED: Self = Self(3);
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

/// Whether two bodies are the same bytes in the same encoding, however they are to travel.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        let compressed = self.is_compressed() == other.is_compressed();
        compressed && self.encoding == other.encoding && self.bytes == other.bytes
    }
}

impl Eq for Body {}

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

    #[test]
    fn how_a_body_is_to_travel_takes_no_room_and_does_not_make_it_another() {
        assert_eq!(size_of::<Body>(), size_of::<Bytes>() + size_of::<usize>());
        let body = Body::from("abc");
        let mut marked = body.clone().with_compression(BodyCompression::Lz4);
        assert_eq!(marked.compression(), Some(BodyCompression::Lz4));
        assert_eq!(marked, body);
        assert_eq!(marked.set_compression(None).compression(), None);
        assert_ne!(body.clone().into_compressed(), body);
    }
}
