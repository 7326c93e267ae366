//! Bytes on their way to a stream.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

/// Output that is written in order: small things copied into one flat buffer, large bodies kept as slices
/// of their own between them.
///
/// ```text
///  flat   ├──frame──┼──header──┤├──frame──┼──frame──┤
///                              ▲
///  slices                      └── body, not copied
/// ```
///
/// Reading it out is [`Buf`], with vectored chunks. While it is written to, nothing has been read out.
#[derive(Debug, Default)]
pub struct Out {
    flat: Vec<u8>,
    /// How much of `flat` has been read out.
    read: usize,
    /// Slices, each with the flat position before which it stands.
    slices: VecDeque<(usize, Bytes)>,
    sliced: usize,
    flatten_below: usize,
}

impl Out {
    /// An empty output that copies bodies shorter than `flatten_below` bytes.
    pub fn new(flatten_below: usize) -> Self {
        Self {
            flatten_below,
            ..Self::default()
        }
    }

    /// The bytes that are left.
    pub fn len(&self) -> usize {
        self.flat.len() - self.read + self.sliced
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the next byte goes in the flat buffer.
    pub fn flat_len(&self) -> usize {
        self.flat.len()
    }

    /// Whether everything before flat position `at` has been read out, slices included.
    pub fn is_read_to(&self, at: usize) -> bool {
        self.read >= at && self.slices.front().is_none_or(|slice| slice.0 > at)
    }

    /// Adds bytes by copying them.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.flat.extend_from_slice(bytes);
    }

    /// Adds a body: copied if it is short, kept as a slice if not. An empty one is never a slice: a stream that
    /// is offered no bytes takes none, which looks like its end.
    pub fn put_body(&mut self, body: &Bytes) {
        if body.is_empty() || body.len() < self.flatten_below {
            return self.put(body);
        }
        self.sliced += body.len();
        self.slices.push_back((self.flat.len(), body.clone()));
    }

    /// The flat bytes from position `at`, to be patched.
    ///
    /// # Panics
    /// If there are no such bytes.
    pub fn flat_mut(&mut self, at: usize) -> &mut [u8] {
        &mut self.flat[at..]
    }

    /// Removes the slice that stands before flat position `at`, if there is one.
    pub fn remove_slice(&mut self, at: usize) -> Option<Bytes> {
        let index = self.slices.binary_search_by_key(&at, |slice| slice.0);
        let (_, slice) = self.slices.remove(index.ok()?)?;
        self.sliced -= slice.len();
        Some(slice)
    }

    /// Empties the output and gives memory above `keep` bytes back.
    pub fn clear(&mut self, keep: usize) {
        self.flat.clear();
        self.flat.shrink_to(keep);
        self.read = 0;
        self.slices.clear();
        self.slices.shrink_to(keep / size_of::<(usize, Bytes)>());
        self.sliced = 0;
    }

    /// The flat bytes up to the next slice.
    fn flat_chunk(&self) -> &[u8] {
        let end = self.slices.front().map_or(self.flat.len(), |slice| slice.0);
        &self.flat[self.read..end]
    }
}

impl Buf for Out {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        match (self.flat_chunk(), self.slices.front()) {
            ([], Some((_, slice))) => slice,
            (flat, _) => flat,
        }
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let ends = self.slices.iter().map(|(at, slice)| (*at, &**slice));
        let ends = ends.chain([(self.flat.len(), &[][..])]);
        let mut from = self.read;
        let pieces = ends.flat_map(|(at, slice)| {
            let flat = &self.flat[from..at];
            from = at;
            [flat, slice]
        });
        let mut used = 0;
        for (io, piece) in into
            .iter_mut()
            .zip(pieces.filter(|piece| !piece.is_empty()))
        {
            *io = IoSlice::new(piece);
            used += 1;
        }
        used
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len(), "advanced past the end of the output");
        while count > 0 {
            let flat = self.flat_chunk().len().min(count);
            self.read += flat;
            count -= flat;
            let Some((_, slice)) = self.slices.front_mut().filter(|_| count > 0) else {
                continue;
            };
            let sliced = slice.len().min(count);
            slice.advance(sliced);
            self.sliced -= sliced;
            count -= sliced;
            if slice.is_empty() {
                self.slices.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled() -> (Out, Vec<u8>) {
        let mut out = Out::new(4);
        out.put(b"head");
        out.put_body(&Bytes::from_static(b"a long body"));
        out.put(b"tail");
        out.put_body(&Bytes::from_static(b"abc"));
        out.put_body(&Bytes::from_static(b"at the end"));
        (out, b"heada long bodytailabcat the end".to_vec())
    }

    #[test]
    fn short_bodies_are_copied_and_long_ones_kept() {
        let (out, all) = filled();
        assert_eq!(out.flat_len(), 11);
        assert_eq!(out.len(), all.len());
    }

    #[test]
    fn a_removed_slice_is_not_read_out() {
        let (mut out, _) = filled();
        assert_eq!(out.remove_slice(4).unwrap(), "a long body");
        assert_eq!(out.remove_slice(5), None);
        assert_eq!(out.copy_to_bytes(out.len()), "headtailabcat the end");
    }

    #[test]
    fn what_was_read_out_includes_the_slice_at_its_end() {
        let (mut out, _) = filled();
        assert!(out.is_read_to(0));
        out.advance(4 + 10);
        assert!(!out.is_read_to(4));
        out.advance(1);
        assert!(out.is_read_to(4) && !out.is_read_to(5));
        out.advance(4 + 3 + 10);
        assert!(out.is_read_to(out.flat_len()));
    }

    proptest! {
        #[test]
        fn any_way_of_reading_gives_the_bytes_in_order(steps in prop::collection::vec(1usize..9, 40)) {
            let (mut out, all) = filled();
            let mut read = Vec::new();
            for step in steps {
                let mut io = [IoSlice::new(&[]); 3];
                let used = out.chunks_vectored(&mut io);
                let seen: Vec<u8> = io[..used].iter().flat_map(|io| io.to_vec()).collect();
                prop_assert_eq!(out.chunk().first(), seen.first());
                let step = step.min(seen.len());
                read.extend_from_slice(&seen[..step]);
                out.advance(step);
            }
            prop_assert_eq!(read, all);
            prop_assert!(out.is_empty());
        }
    }
}
