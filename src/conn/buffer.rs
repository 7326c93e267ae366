//! Memory to read into, lent by the thread for as long as one poll.
//!
//! Ten thousand idle connections would each hold a read buffer that none of them uses. A thread reads one
//! connection at a time, so it needs one buffer; only a connection with part of a frame keeps it.

use std::cell::Cell;

use bytes::BytesMut;

thread_local! {
    static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// An empty buffer with room for `capacity` bytes.
pub(super) fn lend(capacity: usize) -> BytesMut {
    let mut buffer = SPARE.take().unwrap_or_default();
    // Takes the whole of the old memory back if no message holds a slice of it.
    buffer.reserve(capacity);
    buffer
}

/// Gives an empty buffer back.
pub(super) fn give_back(buffer: BytesMut) {
    debug_assert!(buffer.is_empty());
    SPARE.set(Some(buffer));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_given_back_is_lent_again() {
        let buffer = lend(4096);
        let at = buffer.as_ptr();
        give_back(buffer);
        assert_eq!(lend(4096).as_ptr(), at);
    }

    #[test]
    fn memory_that_a_message_holds_is_not_lent() {
        let mut buffer = lend(64);
        buffer.extend_from_slice(b"message");
        let message = buffer.split().freeze();
        give_back(buffer);
        lend(64).extend_from_slice(&[0; 64]);
        assert_eq!(message, "message");
    }
}
