//! Numbers and texts out of bytes.

use std::{iter, mem};

/// Bytes that are read from the front.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, len: u64) -> Self {
        let (taken, rest) = self.0.split_at(len as usize);
        self.0 = rest;
        Self(taken)
    }

    pub(crate) fn number(&mut self, len: u64) -> u64 {
        let bytes = self.take(len).0.iter().rev();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// All that is left, as a number.
    pub(crate) fn rest(&mut self) -> u64 {
        self.number(self.0.len() as u64)
    }

    /// All that is left, as a text.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8(mem::take(&mut self.0).to_vec()).unwrap()
    }

    /// All that is left, as keys of so many bytes and values.
    pub(crate) fn entries(&mut self, key: u64) -> impl Iterator<Item = (u64, Self)> {
        iter::from_fn(move || {
            if self.0.is_empty() {
                return None;
            }
            let (key, len) = (self.number(key), self.number(2));
            Some((key, self.take(len)))
        })
    }
}
