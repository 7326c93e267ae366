//! Memory to read into, lent by the thread until its connection sleeps.
//!
//! Ten thousand idle connections would each hold a read buffer that none of them uses. A thread reads one
//! connection at a time, so it needs one buffer. A connection that sleeps on part of a frame keeps those bytes
//! and no more, so a peer that drips bytes holds what it has sent.

use std::{cell::Cell, mem};

use bytes::BytesMut;

thread_local! {
    static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// Memory that messages hold slices of is read into further while this part of what is wanted is left. Else
/// each small message that is kept, read by itself, would keep a whole buffer.
const LEAST: usize = 4;

/// Makes room in `input` for `capacity` more bytes, or for a good part of them. What is in it stays.
pub(super) fn fit(input: &mut BytesMut, capacity: usize) {
    if room(input) < capacity
        && let Some(mut spare) = SPARE.take()
    {
        spare.extend_from_slice(input);
        *input = spare;
    }
    // Takes the whole of the old memory back if no message holds a slice of it.
    if !input.try_reclaim(capacity) && room(input) < capacity / LEAST {
        input.reserve(capacity);
    }
}

fn room(input: &BytesMut) -> usize {
    input.capacity() - input.len()
}

/// Gives the memory of `input` back to the thread, unless a good part of it is full. What is in it stays.
pub(super) fn settle(input: &mut BytesMut) {
    // Copying it at every turn would cost more than the memory, which is at most a few times what came.
    if !input.is_empty() && input.len() >= input.capacity() / LEAST {
        return;
    }
    let rest = match input.is_empty() {
        true => BytesMut::new(),
        false => BytesMut::from(&input[..]),
    };
    let mut spare = mem::replace(input, rest);
    spare.clear();
    SPARE.set(Some(spare));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_given_back_is_lent_again() {
        let mut input = BytesMut::new();
        fit(&mut input, 4096);
        let at = input.as_ptr();
        settle(&mut input);
        assert_eq!(input.capacity(), 0);
        fit(&mut input, 4096);
        assert_eq!(input.as_ptr(), at);
    }

    #[test]
    fn part_of_a_frame_is_kept_and_costs_its_own_length() {
        let mut input = BytesMut::new();
        fit(&mut input, 4096);
        input.extend_from_slice(b"part");
        settle(&mut input);
        assert_eq!(input, "part");
        assert!(input.capacity() < 64);
        fit(&mut input, 4096);
        assert_eq!(input, "part");
        assert!(input.capacity() >= 4096);
    }

    #[test]
    fn messages_that_are_held_share_the_memory_that_they_were_read_into() {
        let mut input = BytesMut::new();
        let messages: Vec<_> = (0..300)
            .map(|_| {
                fit(&mut input, 64 * 1024);
                input.extend_from_slice(&[1; 1024]);
                let message = input.split().freeze();
                settle(&mut input);
                message
            })
            .collect();
        let neighbours = messages.windows(2);
        let breaks = neighbours
            .filter(|pair| pair[0].as_ptr_range().end != pair[1].as_ptr())
            .count();
        assert!(breaks < 10, "{breaks} buffers for 300 kB");
    }

    #[test]
    fn memory_that_a_message_holds_is_not_lent() {
        let mut input = BytesMut::new();
        fit(&mut input, 64);
        input.extend_from_slice(b"message");
        let message = input.split().freeze();
        settle(&mut input);
        fit(&mut input, 64);
        input.extend_from_slice(&[0; 64]);
        assert_eq!(message, "message");
    }
}
