//! The bulk lane: bodies that go out in chunks, so that small messages pass them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::{
    Chunk, Id, Out,
    numbers::{flag, kind, limit::CHUNK},
};

use super::header::Header;

/// Messages with a body longer than [`CHUNK`]. At most as many as the connection has calls open.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    queue: VecDeque<Item>,
}

#[derive(Debug)]
struct Item {
    id: Id,
    /// What stands before the body, until it has been written.
    head: Option<(Header, Box<[u8]>)>,
    rest: Bytes,
}

impl Bulk {
    /// Adds a message: its header, its metadata and its body.
    pub(super) fn push(&mut self, header: Header, meta: &[u8], body: &Bytes) {
        self.queue.push_back(Item {
            id: header.id,
            head: Some((header, meta.into())),
            rest: body.clone(),
        });
    }

    /// Writes the next chunk of the message whose turn it is.
    pub(super) fn next(&mut self, out: &mut Out) -> Option<Chunk> {
        let mut item = self.queue.pop_front()?;
        let id = item.id;
        let total = item.rest.len() as u64;
        let piece = item.rest.split_to(item.rest.len().min(CHUNK));
        let last = item.rest.is_empty();
        if let Some((mut header, meta)) = item.head.take() {
            header.flags |= flag::MORE;
            header.len = (meta.len() + size_of_val(&total) + piece.len()) as u32;
            out.put(&header.encode());
            out.put(&meta);
            out.put(&total.to_le_bytes());
        } else {
            let mut header = Header::new(kind::DATA);
            header.id = id;
            header.len = piece.len() as u32;
            header.flags = if last { flag::END } else { 0 };
            out.put(&header.encode());
        }
        out.put_body(&piece);
        if !last {
            self.queue.push_back(item);
        }
        Some(Chunk { id, last })
    }

    /// Removes a message; whether any of it was written, and what is left of its body.
    pub(super) fn remove(&mut self, id: Id) -> Option<(bool, Bytes)> {
        let at = self.queue.iter().position(|item| item.id == id)?;
        let item = self.queue.remove(at)?;
        Some((item.head.is_none(), item.rest))
    }
}
