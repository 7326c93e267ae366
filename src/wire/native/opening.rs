//! What each side says first: the preface and HELLO.

use bytes::{Buf, BytesMut};

use crate::{
    Encoding,
    wire::{
        Hello, Reason, Violation,
        compression::{number, of_number},
        numbers::{floor, hello, limit::MAX_AGENT, offer, preface},
    },
};

use super::{tlv, truncated};

pub(super) fn preface() -> [u8; preface::LEN] {
    let [a, b, c, d, e, f] = preface::MAGIC;
    [a, b, c, d, e, f, preface::MAX_VERSION, preface::MIN_VERSION]
}

/// Takes the offer of a compressed stream that may stand before the preface. Whether one was there: what it
/// offers is the business of a transport, and none has dealt with it.
pub(super) fn take_offer(input: &mut BytesMut) -> bool {
    let is_offer = input.starts_with(&offer::MAGIC) && input.len() >= offer::LEN;
    if is_offer {
        input.advance(offer::LEN);
    }
    is_offer
}

/// Whether what is there may become an offer.
pub(super) fn begins_offer(input: &[u8]) -> bool {
    let known = input.len().min(offer::MAGIC.len());
    input[..known] == offer::MAGIC[..known] && input.len() < offer::LEN
}

/// Takes the preface, or nothing if it is not all there. False means that more bytes are needed.
pub(super) fn take_preface(input: &mut BytesMut) -> Result<bool, Violation> {
    // Looked at as it comes: who speaks another protocol may wait for an answer to fewer bytes.
    let known = input.len().min(preface::MAGIC.len());
    if input[..known] != preface::MAGIC[..known] {
        return Err(Violation::new(match input.first_chunk() {
            // A record of a TLS handshake or alert: whoever reads this has mixed up two ports.
            Some([0x15 | 0x16, 0x03]) => "not a steeple connection: the peer speaks TLS",
            _ => "not a steeple connection",
        }));
    }
    let Some(&[.., max, min]) = input.first_chunk::<{ preface::LEN }>() else {
        return Ok(false);
    };
    let used = max.min(preface::MAX_VERSION);
    if used < min || used < preface::MIN_VERSION {
        let (newest, oldest) = (preface::MAX_VERSION, preface::MIN_VERSION);
        return Err(Violation::new(format!(
            "versions {min} to {max} are spoken there and {oldest} to {newest} here"
        ))
        .with_reason(Reason::Version));
    }
    input.advance(preface::LEN);
    Ok(true)
}

/// The payload of HELLO.
pub(super) fn encode(value: &Hello) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut put = |key, value: &[u8]| tlv::put(key, value, &mut payload);
    put(hello::MAX_FRAME, &value.max_frame.to_le_bytes());
    put(hello::MAX_MESSAGE, &value.max_message.to_le_bytes());
    put(hello::MAX_CALLS, &value.max_calls.to_le_bytes());
    put(hello::MAX_BINDINGS, &value.max_bindings.to_le_bytes());
    if !value.encodings.is_empty() {
        // There are 256 encodings; a list that says one twice is not worth more.
        let numbers: Vec<u8> = value.encodings.iter().map(|it| it.number()).collect();
        put(hello::ENCODINGS, &numbers[..numbers.len().min(256)]);
    }
    if !value.compressions.is_empty() {
        let numbers: Vec<u8> = value.compressions.iter().map(|it| number(*it)).collect();
        put(hello::COMPRESSIONS, &numbers[..numbers.len().min(256)]);
    }
    put(hello::AGENT, truncated(&value.agent, MAX_AGENT).as_bytes());
    payload
}

pub(super) fn decode(payload: &[u8]) -> Result<Hello, Violation> {
    let mut value = Hello {
        max_frame: floor::MAX_FRAME,
        max_message: floor::MAX_MESSAGE,
        max_calls: floor::MAX_CALLS,
        max_bindings: floor::MAX_BINDINGS,
        encodings: Vec::new(),
        compressions: Vec::new(),
        agent: String::new(),
    };
    for entry in tlv::entries(payload) {
        let entry = entry?;
        match entry.key {
            hello::MAX_FRAME => raise(&mut value.max_frame, u32::from_le_bytes(entry.fixed()?)),
            hello::MAX_MESSAGE => raise(&mut value.max_message, u64::from_le_bytes(entry.fixed()?)),
            hello::MAX_CALLS => raise(&mut value.max_calls, u32::from_le_bytes(entry.fixed()?)),
            hello::MAX_BINDINGS => {
                raise(&mut value.max_bindings, u16::from_le_bytes(entry.fixed()?));
            }
            hello::ENCODINGS => {
                let numbers = entry.value.iter().take(256);
                value.encodings = numbers.map(|it| Encoding::new(*it)).collect();
            }
            hello::COMPRESSIONS => {
                let numbers = entry.value.iter().take(256);
                value.compressions = numbers.filter_map(|it| of_number(*it)).collect();
            }
            hello::AGENT => {
                let text = &entry.value[..entry.value.len().min(MAX_AGENT)];
                value.agent = String::from_utf8_lossy(text).into();
            }
            _ => entry.skip()?,
        }
    }
    Ok(value)
}

/// HELLO can only raise what holds before it.
fn raise<T: Ord + Copy>(limit: &mut T, said: T) {
    *limit = said.max(*limit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{native::Limits, numbers::encoding};

    #[test]
    fn a_hello_survives() {
        let limits = Limits::new()
            .max_frame(1 << 20)
            .max_message(1 << 40)
            .max_calls(1 << 20)
            .max_bindings(2000)
            .encodings([encoding::JSON, encoding::BINCODE]);
        let hello = limits.hello();
        assert_eq!(decode(&encode(&hello)).unwrap(), hello);
    }

    #[test]
    fn what_is_not_said_or_below_the_floor_is_the_floor() {
        let mut payload = Vec::new();
        tlv::put(hello::MAX_FRAME, &1u32.to_le_bytes(), &mut payload);
        tlv::put(hello::FEATURES, &[0; 8], &mut payload);
        let hello = decode(&payload).unwrap();
        assert_eq!(hello.max_frame, floor::MAX_FRAME);
        assert_eq!(hello.max_message, floor::MAX_MESSAGE);
        assert!(hello.encodings.is_empty());
    }

    #[test]
    fn a_key_that_must_be_understood_and_is_not_ends_the_connection() {
        let mut payload = Vec::new();
        tlv::put(hello::AUTH | hello::CRITICAL, b"", &mut payload);
        let error = decode(&payload).unwrap_err().to_string();
        assert!(error.contains("key 11"), "{error}");
        let mut known = Vec::new();
        tlv::put(hello::AGENT | hello::CRITICAL, b"x", &mut known);
        assert_eq!(decode(&known).unwrap().agent, "x");
    }

    #[test]
    fn versions_meet_or_the_connection_ends_with_both_ranges() {
        let take = |max, min| {
            let mut bytes = BytesMut::from(&preface()[..]);
            bytes[6] = max;
            bytes[7] = min;
            take_preface(&mut bytes)
        };
        assert_eq!(take(1, 1), Ok(true));
        assert_eq!(take(9, 0), Ok(true));
        for (max, min) in [(0, 0), (9, 2)] {
            let violation = take(max, min).unwrap_err();
            assert_eq!(violation.reason(), Reason::Version);
            assert!(violation.to_string().contains(&format!("{min} to {max}")));
        }
    }

    #[test]
    fn another_protocol_is_known_by_its_first_byte() {
        assert!(take_preface(&mut BytesMut::from(&b"G"[..])).is_err());
        assert_eq!(
            take_preface(&mut BytesMut::from(&preface()[..7])),
            Ok(false)
        );
        assert_eq!(take_preface(&mut BytesMut::new()), Ok(false));
    }
}
