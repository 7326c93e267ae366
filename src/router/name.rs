//! Names of methods: which are allowed, and how one is found.

use std::hash::Hasher;

use crate::wire::numbers::limit::MAX_METHOD;

/// Between the parts of a name.
pub(super) const SEPARATOR: char = '.';

/// What is wrong with a name, if anything is.
pub(super) fn flaw(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some(
            "the name of a method is empty; a call without a name is for the fallback".into(),
        );
    }
    if name.len() > MAX_METHOD {
        let len = name.len();
        return Some(format!(
            "the name {name:?} has {len} bytes, and a method's has at most {MAX_METHOD}"
        ));
    }
    if name.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return Some(format!(
            "the name {name:?} has a space or a control character in it"
        ));
    }
    if name.split(SEPARATOR).any(str::is_empty) {
        return Some(format!("a part of the name {name:?} is empty"));
    }
    None
}

/// Hashes the name of a method, eight bytes at a time.
///
/// It has no key, which a table that a peer can fill would need: this one holds only names of the program's
/// own, and is complete before the first peer asks it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameHasher(u64);

/// Odd, and with its bits well mixed: the fraction of the golden ratio.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

impl NameHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let last = rest
            .iter()
            .fold(0, |word, &byte| word << 8 | u64::from(byte));
        self.mix(last ^ bytes.len() as u64);
    }

    /// What `str` ends with, so that parts of one key stay apart. A name is a key of one part.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        hash::{BuildHasher, BuildHasherDefault},
    };

    use super::*;

    #[test]
    fn names_in_parts_are_allowed_and_others_are_refused_with_the_reason() {
        for name in ["Echo", "Arith.Multiply", "/pkg.Service/Method", "größe"] {
            assert_eq!(flaw(name), None);
        }
        let long = "x".repeat(256);
        for (name, reason) in [
            ("", "is empty"),
            (".", "part of the name"),
            ("Arith.", "part of the name"),
            ("a..b", "part of the name"),
            ("a b", "space"),
            ("a\0b", "control"),
            (&long, "256 bytes"),
        ] {
            let flaw = flaw(name).unwrap();
            assert!(flaw.contains(reason), "{flaw}");
        }
    }

    #[test]
    fn names_that_differ_a_little_hash_apart() {
        let hash = |name: &str| BuildHasherDefault::<NameHasher>::default().hash_one(name);
        let names: Vec<_> = (0..10_000).map(|n| format!("Service.Method{n}")).collect();
        let hashes: HashSet<_> = names.iter().map(|name| hash(name)).collect();
        assert_eq!(hashes.len(), names.len());
        assert_ne!(hash("a"), hash("a\0"));
        assert_ne!(hash("12345678"), hash("12345678\0"));
    }
}
