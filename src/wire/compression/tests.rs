use proptest::prelude::*;

use super::*;

fn wanted(bytes: impl Into<Vec<u8>>, compression: BodyCompression) -> Body {
    Body::from(bytes.into()).with_compression(compression)
}

/// A compressed body by hand.
fn by_hand(number: u8, plain_len: u32, bytes: &[u8]) -> Body {
    let len = plain_len.to_le_bytes();
    Body::from([&[number][..], &len, bytes].concat()).into_compressed()
}

fn error_of(body: Body) -> String {
    let error = decompress(body).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    error.to_string()
}

#[test]
fn what_does_not_get_shorter_stays_as_it_is() {
    for compression in AVAILABLE {
        for plain in [&b""[..], b"a", b"abcdef", &[0, 9, 3, 200, 17, 4, 90, 33]] {
            let body = compress(wanted(plain, *compression));
            assert!(!body.is_compressed());
            assert_eq!(body.compression(), None);
            assert_eq!(body.as_bytes(), plain);
        }
    }
}

#[test]
fn a_length_that_the_bytes_cannot_have_is_refused_before_any_memory_is_taken() {
    for compression in AVAILABLE {
        let body = by_hand(number(*compression), u32::MAX, &[0; 16]);
        let text = error_of(body);
        assert!(text.contains("cannot stand for 4294967295"), "{text}");
    }
}

#[test]
fn a_body_that_is_shorter_or_longer_than_it_announces_is_refused() {
    for compression in AVAILABLE {
        let body = compress(wanted(vec![7; 10_000], *compression));
        for wrong in [0u32, 1, 9_999, 10_001] {
            let mut bytes = body.as_bytes().to_vec();
            bytes[1..PREFIX].copy_from_slice(&wrong.to_le_bytes());
            let text = error_of(Body::from(bytes).into_compressed());
            assert!(text.contains("a compressed body announces") || text.contains("cannot be"));
        }
    }
}

#[test]
fn a_number_that_is_not_known_and_a_prefix_that_is_cut_are_named() {
    assert_eq!(error_of(by_hand(9, 1, b"x")), "compression 9 is not known");
    let text = error_of(Body::from("abcd").into_compressed());
    assert_eq!(text, "a compressed body has at least 5 bytes, not 4");
}

proptest! {
    #[test]
    fn bodies_survive(
        piece in prop::collection::vec(any::<u8>(), 0..64),
        times in 0usize..2000,
        encoding in any::<u8>(),
    ) {
        let plain = Body::encoded(piece.repeat(times).into(), crate::Encoding::new(encoding));
        for compression in AVAILABLE {
            let body = compress(plain.clone().with_compression(*compression));
            prop_assert!(body.len() <= plain.len());
            prop_assert_eq!(plain_len(&body), plain.len() as u64);
            prop_assert_eq!(decompress(body).unwrap(), plain.clone());
        }
    }

    #[test]
    fn any_bytes_give_a_body_of_the_length_announced_or_an_error(
        number in 0u8..4,
        len in 0u32..100_000,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(body) = decompress(by_hand(number, len, &bytes)) {
            prop_assert_eq!(body.len(), len as usize);
        }
    }

    #[test]
    fn a_damaged_body_is_an_error_or_as_long_as_it_announces(
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        cut in any::<prop::sample::Index>(),
    ) {
        for compression in AVAILABLE {
            let text = "the quick brown fox ".repeat(200);
            let bytes = compress(wanted(text, *compression)).into_bytes();
            let mut damaged = bytes.to_vec();
            damaged[at.index(bytes.len())] ^= 1 << bit;
            let cut = damaged[..cut.index(bytes.len())].to_vec();
            for bytes in [damaged, cut] {
                let announced = prefix(&bytes).map(|prefix| prefix.plain_len as usize);
                if let Ok(body) = decompress(Body::from(bytes).into_compressed()) {
                    prop_assert_eq!(Ok(body.len()), announced);
                }
            }
        }
    }
}
