//! The 16 bytes before every payload.

use crate::wire::Id;

/// A frame's header. Every pattern of 16 bytes is one; what it means is the decoder's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) code: u16,
    pub(super) id: Id,
    pub(super) aux: u32,
}

impl Header {
    pub(super) const LEN: usize = 16;

    /// The header of an empty frame of this kind: all else is zero.
    pub(super) const fn new(kind: u8) -> Self {
        Self {
            len: 0,
            kind,
            flags: 0,
            code: 0,
            id: Id::from_bits(0),
            aux: 0,
        }
    }

    // One 128-bit word: the compiler makes two aligned loads or stores of it.
    pub(super) const fn decode(bytes: &[u8; Self::LEN]) -> Self {
        let word = u128::from_le_bytes(*bytes);
        Self {
            len: word as u32,
            kind: (word >> 32) as u8,
            flags: (word >> 40) as u8,
            code: (word >> 48) as u16,
            id: Id::from_bits((word >> 64) as u32),
            aux: (word >> 96) as u32,
        }
    }

    /// The header at the front of `bytes`, if it is all there.
    pub(super) fn decode_front(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(Self::decode)
    }

    pub(super) const fn encode(self) -> [u8; Self::LEN] {
        let word = self.len as u128
            | (self.kind as u128) << 32
            | (self.flags as u128) << 40
            | (self.code as u128) << 48
            | (self.id.bits() as u128) << 64
            | (self.aux as u128) << 96;
        word.to_le_bytes()
    }

    /// Whether any of these flags is set.
    pub(super) const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_stand_where_the_specification_puts_them() {
        let header = Header {
            len: 0x0403_0201,
            kind: 0x05,
            flags: 0x06,
            code: 0x0807,
            id: Id::from_bits(0x0C0B_0A09),
            aux: 0x100F_0E0D,
        };
        let bytes: Vec<u8> = (1..=16).collect();
        assert_eq!(header.encode(), *bytes);
    }

    proptest! {
        #[test]
        fn any_sixteen_bytes_are_a_header_and_back(bytes: [u8; 16]) {
            prop_assert_eq!(Header::decode(&bytes).encode(), bytes);
        }
    }
}
