//! Keys with a value: the extensible part of HELLO and BIND.

use crate::wire::{
    Violation,
    numbers::{hello::CRITICAL, limit::MAX_ENTRIES},
};

/// One key and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tlv<'a> {
    /// Without the critical bit.
    pub(super) key: u16,
    critical: bool,
    pub(super) value: &'a [u8],
}

/// Adds an entry. A value is at most 64 KiB - 1 bytes.
pub(super) fn put(key: u16, value: &[u8], into: &mut Vec<u8>) {
    debug_assert!(value.len() <= usize::from(u16::MAX));
    into.extend_from_slice(&key.to_le_bytes());
    into.extend_from_slice(&(value.len() as u16).to_le_bytes());
    into.extend_from_slice(value);
}

/// All entries, up to the first that breaks the protocol.
pub(super) fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Result<Tlv<'_>, Violation>> {
    let mut left = MAX_ENTRIES;
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let entry = match (left, split(bytes)) {
            (0, _) => Err(Violation::new(format!(
                "more than {MAX_ENTRIES} entries in HELLO or BIND"
            ))),
            (_, None) => Err(Violation::new("an entry of HELLO or BIND is cut short")),
            (_, Some((entry, rest))) => {
                left -= 1;
                bytes = rest;
                Ok(entry)
            }
        };
        if entry.is_err() {
            bytes = &[];
        }
        Some(entry)
    })
}

impl Tlv<'_> {
    /// Passes over a key that is not known here.
    pub(super) fn skip(self) -> Result<(), Violation> {
        if self.critical {
            let text = format!("key {} must be understood and is not", self.key);
            return Err(Violation::new(text));
        }
        Ok(())
    }

    /// A value of `N` bytes; what a later version has put behind them is ignored.
    pub(super) fn fixed<const N: usize>(self) -> Result<[u8; N], Violation> {
        self.value.first_chunk().copied().ok_or_else(|| {
            let (key, len) = (self.key, self.value.len());
            Violation::new(format!("key {key} has {len} bytes and needs {N}"))
        })
    }
}

fn split(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (key, bytes) = bytes.split_first_chunk()?;
    let (len, bytes) = bytes.split_first_chunk()?;
    let (value, rest) = bytes.split_at_checked(u16::from_le_bytes(*len).into())?;
    let key = u16::from_le_bytes(*key);
    let entry = Tlv {
        key: key & !CRITICAL,
        critical: key & CRITICAL != 0,
        value,
    };
    Some((entry, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(bytes: &[u8]) -> Vec<String> {
        entries(bytes)
            .filter_map(Result::err)
            .map(|violation| violation.to_string())
            .collect()
    }

    #[test]
    fn entries_come_back_in_order() {
        let mut bytes = Vec::new();
        put(1, b"one", &mut bytes);
        put(2 | CRITICAL, b"", &mut bytes);
        let all: Vec<_> = entries(&bytes).map(Result::unwrap).collect();
        assert_eq!((all[0].key, all[0].value), (1, &b"one"[..]));
        assert_eq!((all[1].key, all[1].critical), (2, true));
        assert!(all[0].skip().is_ok());
        assert!(all[1].skip().is_err());
    }

    #[test]
    fn a_cut_or_endless_list_is_one_error() {
        assert_eq!(errors(&[1, 0, 2, 0, 9]).len(), 1);
        assert_eq!(errors(&[1]).len(), 1);
        assert_eq!(errors(&[0; 4 * MAX_ENTRIES]).len(), 0);
        let error = errors(&[0; 4 * MAX_ENTRIES + 4]).remove(0);
        assert!(error.contains("more than 64"), "{error}");
    }

    #[test]
    fn a_longer_value_has_its_tail_ignored_and_a_shorter_is_refused() {
        let tlv = |value| Tlv {
            key: 6,
            critical: false,
            value,
        };
        assert_eq!(tlv(&[1, 2, 3]).fixed::<2>().unwrap(), [1, 2]);
        let error = tlv(&[1]).fixed::<2>().unwrap_err().to_string();
        assert_eq!(error, "key 6 has 1 bytes and needs 2");
    }
}
