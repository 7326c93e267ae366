//! The frames of which nearly all traffic consists, read without detours: whole, short, successful, and with
//! nothing in them but a header and a body.
//!
//! They are made where they are returned, since a request is some two hundred bytes that every step on the way
//! would copy. What these frames mean is what [`head`](super::head) says of all.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    Encoding, Response,
    wire::{
        Frame, Role, Violation,
        numbers::{deadline, encoding, flag, kind, status},
    },
};

use super::{
    bindings::{self, Incoming},
    head::{body, remaining, request},
    header::Header,
};

/// Bodies shorter than this are copied out of the read buffer, longer ones are slices of it: a small answer
/// that is kept must not keep 64 KiB alive, and a copy of this size costs less than the count of a slice.
pub(super) const COPY_BELOW: usize = 2048;

/// A copy of the front of the input, of which short bodies are slices: an allocation for each would cost more than
/// all else that is done with it here. A small body that is kept keeps its block alive.
#[derive(Debug, Default)]
pub(super) struct Block(Bytes);

/// How long a block is at most, in bytes.
const BLOCK: usize = 4096;

/// Or so many of the frame at its front, if these are longer.
const FRAMES: usize = 8;

/// The header of the frame at the front of `input`, if that is all there, shorter than `below` and as plain as
/// that.
pub(super) fn next(
    input: &BytesMut,
    below: usize,
    role: Role,
    bindings: &Incoming,
    served: &[Encoding],
) -> Option<Header> {
    let header = Header::decode_front(input)?;
    let len = header.len as usize;
    let id = header.id;
    let short = len < below && input.len() >= Header::LEN + len;
    let plain = header.flags & !flag::RAW == 0 && short && id.index() != 0;
    let known = match header.kind {
        kind::RESPONSE => header.code == status::OK && id.opener() == role,
        kind::REQUEST => {
            let bound = bindings.get(header.code).map(|binding| binding.1);
            header.aux != deadline::IN_METADATA
                && id.opener() != role
                && bound.is_some_and(|bound| bindings::is_served(bound, served))
        }
        _ => false,
    };
    (plain && known).then_some(header)
}

/// Takes the frame at the front of `input`, of which [`next`] has found that it is one of these.
pub(super) fn take(
    header: Header,
    input: &mut BytesMut,
    bindings: &Incoming,
    block: &mut Block,
) -> Result<Option<Frame>, Violation> {
    let (id, raw) = (header.id, header.has(flag::RAW));
    let bytes = block.take(input, header.len as usize);
    if let kind::RESPONSE = header.kind {
        return Ok(Some(Frame::Response {
            id,
            result: Ok(Response::new(body(bytes, raw, encoding::BOUND))),
        }));
    }
    let Some((method, bound)) = bindings.get(header.code) else {
        return Ok(None);
    };
    Ok(Some(Frame::Request {
        id,
        remaining: remaining(header.aux, &None),
        request: request(method.clone(), *bound, body(bytes, raw, *bound), None),
    }))
}

impl Block {
    /// Forgets what it is a copy of: the front of the input is taken away by others.
    pub(super) fn clear(&mut self) {
        self.0 = Bytes::new();
    }

    /// Takes a header and the body behind it, which is short, off the input. It copies what follows as well, if
    /// anything does.
    fn take(&mut self, input: &mut BytesMut, len: usize) -> Bytes {
        let end = Header::LEN + len;
        let alone = input.len() < 2 * end;
        if self.0.len() < end && len > 0 && !alone {
            self.0 = Bytes::copy_from_slice(&input[..BLOCK.max(FRAMES * end).min(input.len())]);
        }
        debug_assert!(
            input.starts_with(&self.0),
            "the front of the input has changed"
        );
        let body = match self.0.len() < end {
            true => Bytes::copy_from_slice(&input[Header::LEN..end]),
            false => self.0.slice(Header::LEN..end),
        };
        input.advance(end);
        match self.0.len() <= end {
            true => self.clear(),
            false => self.0.advance(end),
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `count` bodies of `len` bytes, each of its own number, that came together.
    fn taken(count: u8, len: usize, block: &mut Block) -> Vec<Bytes> {
        let frames =
            (0..count).flat_map(|number| [vec![0; Header::LEN], vec![number; len]].concat());
        let mut input: BytesMut = frames.collect();
        let bodies = (0..count)
            .map(|_| block.take(&mut input, len))
            .collect::<Vec<_>>();
        assert!(input.is_empty());
        for (number, body) in (0..).zip(&bodies) {
            assert_eq!(body, &vec![number; len]);
        }
        bodies
    }

    #[test]
    fn short_bodies_that_come_together_share_blocks_and_no_block_is_longer_than_its_limit() {
        let bodies = taken(200, 100, &mut Block::default());
        let frame = Header::LEN + 100;
        let next = |pair: &[Bytes]| pair[0].as_ptr() as usize + frame == pair[1].as_ptr() as usize;
        let shared = bodies.chunk_by(|one, two| next(&[one.clone(), two.clone()]));
        let lens: Vec<usize> = shared.map(<[Bytes]>::len).collect();
        assert!(lens.len() < 10, "{lens:?}");
        assert_eq!(lens.iter().max(), Some(&(BLOCK / frame)), "{lens:?}");
    }

    #[test]
    fn a_body_that_is_alone_or_empty_takes_no_block() {
        let mut block = Block::default();
        taken(1, 100, &mut block);
        assert!(block.0.is_empty());
        taken(9, 0, &mut block);
        assert!(block.0.is_empty());
    }

    #[test]
    fn a_block_goes_with_the_last_body_in_it() {
        let mut block = Block::default();
        taken(9, 100, &mut block);
        assert_eq!(block.0.as_ptr(), Bytes::new().as_ptr());
    }
}
