//! The block of metadata that may stand before a body.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::Bytes;

use crate::{
    Encoding, Error, Kind, Metadata, Method,
    wire::numbers::{
        limit::{MAX_CAUSES, MAX_METADATA, MAX_METADATA_NAMES, MAX_METHOD},
        metadata,
    },
};

/// Bytes of the length before the entries.
const LEN: usize = 2;

/// A block that is being written. Kept between messages for its memory.
#[derive(Debug)]
pub(super) struct Block {
    /// The length, then the entries.
    bytes: Vec<u8>,
}

/// Why a block cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wrong {
    /// It says what cannot be.
    Malformed(&'static str),
    /// The name of its method has this many bytes.
    LongMethod(usize),
    /// It has this many bytes.
    TooLong(usize),
    TooManyNames,
}

/// What a block said.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) user: Metadata,
    pub(super) deadline: Option<Duration>,
    pub(super) method: Option<(Method, Encoding)>,
    pub(super) retry_after: Option<Duration>,
    pub(super) causes: Vec<String>,
    pub(super) attempt: u32,
    pub(super) executed: bool,
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; LEN],
        }
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.bytes.truncate(LEN);
    }

    /// Adds an entry, its value in two parts.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if the block would be longer than `max_metadata`.
    pub(super) fn put(&mut self, key: u8, head: &[u8], tail: &[u8]) -> Result<(), Error> {
        let len = head.len() + tail.len();
        if self.bytes.len() - LEN + 3 + len > MAX_METADATA {
            return Err(invalid(format!(
                "the metadata is longer than max_metadata ({MAX_METADATA} bytes)"
            )));
        }
        self.bytes.push(key);
        self.bytes.extend_from_slice(&(len as u16).to_le_bytes());
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(tail);
        Ok(())
    }

    /// Adds the user's entries.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that is empty or too long, for too many names, or as [`put`](Self::put).
    pub(super) fn put_user(&mut self, metadata: &Metadata) -> Result<(), Error> {
        if metadata.len() > MAX_METADATA_NAMES {
            return Err(invalid(format!(
                "{} names of metadata are more than max_metadata_names ({MAX_METADATA_NAMES})",
                metadata.len()
            )));
        }
        for (name, value) in metadata.iter() {
            let len = u8::try_from(name.len()).ok().filter(|len| *len > 0);
            let len = len.ok_or_else(|| {
                invalid(format!(
                    "a name of metadata has 1 to 255 bytes, not {}",
                    name.len()
                ))
            })?;
            let mut named = [0; 256];
            named[0] = len;
            named[1..=name.len()].copy_from_slice(name.as_bytes());
            self.put(metadata::NAMED, &named[..=name.len()], value)?;
        }
        Ok(())
    }

    /// The block as it travels; no bytes at all if it has no entry.
    pub(super) fn finish(&mut self) -> &[u8] {
        let len = self.bytes.len() - LEN;
        if len == 0 {
            return &[];
        }
        self.bytes[..LEN].copy_from_slice(&(len as u16).to_le_bytes());
        &self.bytes
    }
}

/// The entries at the front of a payload and the number of bytes they take.
///
/// # Errors
/// What is wrong with a block that is cut short, too long or says what cannot be.
pub(super) fn decode(payload: &[u8]) -> Result<(Entries, usize), Wrong> {
    let block = payload
        .split_first_chunk()
        .and_then(|(len, rest)| rest.get(..u16::from_le_bytes(*len).into()))
        .ok_or("the metadata is cut short")?;
    if block.len() > MAX_METADATA {
        return Err(Wrong::TooLong(block.len()));
    }
    let mut entries = Entries::default();
    // One copy for all values, so that what is kept of them does not pin the read buffer.
    let shared = Bytes::copy_from_slice(block);
    let mut rest = &shared[..];
    while !rest.is_empty() {
        let (key, value, after) = split(rest).ok_or("an entry of the metadata is cut short")?;
        entries.take(key, value, &shared)?;
        rest = after;
    }
    Ok((entries, LEN + block.len()))
}

impl Entries {
    /// Takes one entry, whose value is a part of `shared`.
    fn take(&mut self, key: u8, value: &[u8], shared: &Bytes) -> Result<(), Wrong> {
        match key {
            metadata::NAMED => {
                if self.user.len() == MAX_METADATA_NAMES {
                    return Err(Wrong::TooManyNames);
                }
                let (name, value) =
                    named(value).ok_or("a name of the metadata is empty or cut short")?;
                let name = text(name)?.to_owned();
                self.user.append(Cow::Owned(name), shared.slice_ref(value));
            }
            metadata::DEADLINE => self.deadline = Some(micros(value)?),
            metadata::RETRY_AFTER => self.retry_after = Some(micros(value)?),
            metadata::METHOD => {
                let (encoding, name) = value
                    .split_first()
                    .ok_or("the method in the metadata is cut short")?;
                if name.len() > MAX_METHOD {
                    return Err(Wrong::LongMethod(name.len()));
                }
                let method = text(name)?.to_owned().into();
                self.method = Some((method, Encoding::new(*encoding)));
            }
            metadata::CAUSE if self.causes.len() < MAX_CAUSES => {
                self.causes.push(String::from_utf8_lossy(value).into());
            }
            metadata::ATTEMPT => self.attempt = u32::from_le_bytes(fixed(value)?),
            metadata::EXECUTED => self.executed = true,
            _ => {}
        }
        Ok(())
    }
}

impl From<&'static str> for Wrong {
    fn from(text: &'static str) -> Self {
        Self::Malformed(text)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => f.write_str(text),
            Self::LongMethod(len) => {
                write!(f, "a method name of {len} bytes exceeds {MAX_METHOD}")
            }
            Self::TooLong(len) => write!(
                f,
                "{len} bytes of metadata are more than max_metadata ({MAX_METADATA})"
            ),
            Self::TooManyNames => write!(
                f,
                "more names of metadata than max_metadata_names ({MAX_METADATA_NAMES})"
            ),
        }
    }
}

fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (key, bytes) = bytes.split_first()?;
    let (len, bytes) = bytes.split_first_chunk()?;
    let (value, rest) = bytes.split_at_checked(u16::from_le_bytes(*len).into())?;
    Some((*key, value, rest))
}

fn named(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = value.split_first()?;
    rest.split_at_checked((*len).into())
        .filter(|(name, _)| !name.is_empty())
}

fn text(bytes: &[u8]) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|_| "a name in the metadata is not UTF-8".into())
}

fn micros(value: &[u8]) -> Result<Duration, Wrong> {
    Ok(Duration::from_micros(u64::from_le_bytes(fixed(value)?)))
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Wrong> {
    value
        .first_chunk()
        .copied()
        .ok_or("a number in the metadata is cut short".into())
}

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(entries: &[u8]) -> String {
        let mut payload = (entries.len() as u16).to_le_bytes().to_vec();
        payload.extend_from_slice(entries);
        decode(&payload).unwrap_err().to_string()
    }

    #[test]
    fn a_block_without_entries_is_no_bytes() {
        let mut block = Block::new();
        block.put(metadata::EXECUTED, &[], &[]).unwrap();
        assert_eq!(block.finish(), [3, 0, 6, 0, 0]);
        block.clear();
        assert!(block.finish().is_empty());
    }

    #[test]
    fn unknown_keys_and_surplus_causes_are_skipped() {
        let mut block = Block::new();
        block.put(200, b"later", b"").unwrap();
        for _ in 0..=MAX_CAUSES {
            block.put(metadata::CAUSE, b"why", b"").unwrap();
        }
        let (entries, taken) = decode(block.finish()).unwrap();
        assert_eq!(entries.causes.len(), MAX_CAUSES);
        assert_eq!(taken, 2 + 8 + 9 * 6);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        assert!(decode(&[1]).is_err());
        assert!(decode(&[1, 0]).is_err());
        assert!(error(&[0, 1]).contains("cut short"));
        assert!(error(&[0, 1, 0, 0]).contains("empty"));
        assert!(error(&[0, 1, 0, 1]).contains("cut short"));
        assert!(error(&[0, 2, 0, 1, 0xFF]).contains("UTF-8"));
        assert!(error(&[1, 1, 0, 1]).contains("number"));
        assert!(error(&[2, 0, 0]).contains("method"));
        assert!(error(&[&[2, 1, 1][..], &[0; 257]].concat()).contains("256 bytes exceeds 255"));
        assert!(error(&[200; MAX_METADATA + 1]).contains("max_metadata (16384)"));
        let names = [0, 2, 0, 1, b'a'].repeat(MAX_METADATA_NAMES + 1);
        assert!(error(&names).contains("max_metadata_names (256)"));
    }

    #[test]
    fn what_is_too_large_is_not_written() {
        let error = |name: String, value: Vec<u8>, times| {
            let mut metadata = Metadata::new();
            for _ in 0..times {
                metadata.append(name.clone(), value.clone());
            }
            let error = Block::new().put_user(&metadata).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
            error.to_string()
        };
        assert!(error("".into(), vec![], 1).contains("1 to 255"));
        assert!(error("x".repeat(256), vec![], 1).contains("256"));
        assert!(error("x".into(), vec![0; MAX_METADATA - 4], 1).contains("max_metadata ("));
        assert!(error("x".into(), vec![], 257).contains("max_metadata_names"));
        let mut fits = Metadata::new();
        fits.insert("x", vec![0; MAX_METADATA - 5]);
        Block::new().put_user(&fits).unwrap();
    }

    proptest! {
        #[test]
        fn the_users_entries_survive_in_order(
            entries in prop::collection::vec(("[a-zé]{1,9}", prop::collection::vec(any::<u8>(), 0..9)), 0..20),
        ) {
            let mut metadata = Metadata::new();
            for (name, value) in entries {
                metadata.append(name, value);
            }
            let mut block = Block::new();
            block.put_user(&metadata).unwrap();
            let bytes = block.finish();
            if metadata.is_empty() {
                prop_assert!(bytes.is_empty());
            } else {
                prop_assert_eq!(decode(bytes).unwrap().0.user, metadata);
            }
        }

        #[test]
        fn any_bytes_are_entries_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            if let Ok((_, taken)) = decode(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
