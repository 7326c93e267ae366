//! A small struct through a codec.

use std::hint::black_box;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steeple::Body;
use steeple::codec::{Arena, Codec, decode, encode};

/// What a service might be told all day.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    sensor: u64,
    at: i64,
    place: String,
    samples: Bytes,
}

impl Reading {
    fn example() -> Self {
        Self {
            sensor: 1_234_567,
            at: -1_700_000_000,
            place: "boiler room 4, E".to_owned(),
            samples: Bytes::from_static(&[0x5a; 64]),
        }
    }
}

/// A value, and where it is encoded.
pub(crate) struct Values<C> {
    codec: C,
    value: Reading,
    arena: Arena,
}

impl<C: Codec> Values<C> {
    pub(crate) fn new(codec: C) -> Self {
        Self {
            codec,
            value: Reading::example(),
            arena: Arena::new(),
        }
    }

    /// Encodes it and lets go of the body, as a caller that waits for each answer does.
    pub(crate) fn encode(&mut self, count: usize) {
        for _ in 0..count {
            black_box(self.body());
        }
    }

    fn body(&mut self) -> Body {
        encode(&self.codec, black_box(&self.value), &mut self.arena).expect("a plain struct")
    }
}

/// A value that was encoded.
pub(crate) struct Encoded<C> {
    codec: C,
    body: Body,
}

impl<C: Codec> Encoded<C> {
    pub(crate) fn new(codec: C) -> Self {
        let body = Values::new(codec.clone()).body();
        Self { codec, body }
    }

    /// Decodes it.
    pub(crate) fn decode(&self, count: usize) {
        for _ in 0..count {
            let value: Reading = decode(&self.codec, black_box(&self.body)).expect("our own body");
            black_box(value);
        }
    }
}
