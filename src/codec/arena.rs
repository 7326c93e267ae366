//! Where small bodies are encoded, many to one allocation.

use bytes::{Bytes, BytesMut};

use crate::Error;

/// A block of memory that encoded bodies are cut from.
///
/// One block holds several hundred small bodies. Space that no body holds any more is used again from its
/// beginning, so a caller that waits for each answer stays in a few cache lines and allocates nothing.
/// Blocks begin at 2 KiB and double, up to 64 KiB, only while the bodies that were cut from them are kept.
///
/// The price: a body that is kept pins its block. A body of more than 64 KiB gets a buffer of its own, which
/// goes when the body goes.
///
/// A clone begins empty, so a cheap handle may hold one and be cloned for each task.
#[derive(Debug)]
pub struct Arena {
    buffer: BytesMut,
    block: usize,
}

/// The first block: there may be an arena for each of very many tasks.
const FIRST_BLOCK: usize = 2 * 1024;

/// The largest block: hundreds of small bodies, and no more than that is pinned by a body that is kept. It
/// is also the largest capacity that `BytesMut` gives again when it moves on to a new allocation.
const LARGEST_BLOCK: usize = 64 * 1024;

/// The rest of a block, as a part of it, that is given up rather than have a body outgrow it and be moved.
const GIVEN_UP: usize = 8;

impl Arena {
    /// Without memory until it is used.
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            block: 0,
        }
    }

    /// Gives `write` a buffer to append to and cuts off what it wrote. What comes before an error is discarded.
    pub(super) fn write<R>(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<R, Error>,
    ) -> Result<(R, Bytes), Error> {
        self.make_room();
        let result = write(&mut self.buffer);
        let bytes = self.buffer.split().freeze();
        if bytes.len() > LARGEST_BLOCK {
            self.buffer = BytesMut::new();
        }
        Ok((result?, bytes))
    }

    fn make_room(&mut self) {
        let reclaimed = self.block > 0 && self.buffer.try_reclaim(self.block);
        if !reclaimed && self.buffer.capacity() <= self.block / GIVEN_UP {
            self.block = (self.block * 2).clamp(FIRST_BLOCK, LARGEST_BLOCK);
            self.buffer = BytesMut::with_capacity(self.block);
        }
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Arena {
    fn clone(&self) -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(arena: &mut Arena, bytes: &[u8]) -> Bytes {
        let ((), bytes) = arena
            .write(|out| {
                out.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        bytes
    }

    #[test]
    fn a_body_that_is_gone_leaves_its_space_to_the_next() {
        let mut arena = Arena::new();
        let first = put(&mut arena, b"one").as_ptr();
        for _ in 0..10_000 {
            assert_eq!(put(&mut arena, b"two").as_ptr(), first);
        }
        assert_eq!(arena.block, FIRST_BLOCK);
    }

    #[test]
    fn bodies_that_are_kept_share_a_few_blocks_and_stay_as_they_are() {
        let mut arena = Arena::new();
        let kept: Vec<_> = (0..2000u32)
            .map(|n| put(&mut arena, &n.to_le_bytes().repeat(25)))
            .collect();
        for (n, bytes) in (0u32..).zip(&kept) {
            assert_eq!(bytes, &n.to_le_bytes().repeat(25));
        }
        let moves = kept
            .windows(2)
            .filter(|pair| pair[0].as_ptr_range().end != pair[1].as_ptr())
            .count();
        assert!(moves < 10, "{moves} blocks for 2000 bodies of 100 bytes");
        assert_eq!(arena.block, LARGEST_BLOCK);
    }

    #[test]
    fn a_large_body_does_not_stay() {
        let mut arena = Arena::new();
        let large = put(&mut arena, &vec![7; 10 * LARGEST_BLOCK]);
        assert_eq!(arena.buffer.capacity(), 0);
        assert_eq!(large.len(), 10 * LARGEST_BLOCK);
        assert_eq!(put(&mut arena, b"small"), "small");
        assert!(arena.buffer.capacity() <= LARGEST_BLOCK);
    }

    #[test]
    fn what_comes_before_an_error_is_discarded() {
        let mut arena = Arena::new();
        arena
            .write::<()>(|out| {
                out.extend_from_slice(&vec![0; 2 * LARGEST_BLOCK]);
                Err(Error::new(crate::Kind::Invalid, "half way"))
            })
            .unwrap_err();
        assert_eq!(arena.buffer.capacity(), 0);
        assert_eq!(put(&mut arena, b"whole"), "whole");
    }

    #[test]
    fn a_clone_begins_without_memory() {
        let mut arena = Arena::new();
        put(&mut arena, b"one");
        assert_eq!(arena.clone().buffer.capacity(), 0);
    }
}
