//! How single bodies are compressed.

/// By what a [`Body`](super::Body) is made shorter on its way, one message at a time.
///
/// Which of them a side has is a matter of features: `lz4` and `zstd`. Each tells its peer what it decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyCompression {
    /// A block of LZ4: some ten times faster than Zstandard on short bodies, and half as good.
    Lz4,
    /// A frame of Zstandard, at its fastest level.
    Zstd,
}
