//! Bodies that no codec sees, and bodies that are not what was expected.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use steeple::{
    Body, Encoding, Execution, Kind,
    codec::{self, AnyCodec, Arena, Bincode, Codec, Json},
    wire::numbers::encoding::name,
};

use crate::{
    codecs, encode,
    values::{Celsius, Newtype, Point, Shape, Transparent},
};

#[test]
fn text_and_bytes_travel_raw_and_are_read_with_any_codec() {
    for sender in codecs() {
        for body in [
            encode(sender, &"text"),
            encode(sender, &"text".to_owned()),
            encode(sender, &Cow::Borrowed("text")),
            encode(sender, &Transparent("text".into())),
            encode(sender, &Bytes::from_static(b"text")),
            encode(sender, &ByteBuf::from(*b"text")),
            encode(sender, &b"text".to_vec()),
            codec::encode_borrowed(&sender, "text", &mut Arena::new()).unwrap(),
        ] {
            assert_eq!(body, Body::from("text"), "{sender:?}");
            for reader in codecs() {
                let codec = &reader;
                assert_eq!(codec::decode::<String, _>(codec, &body).unwrap(), "text");
                assert_eq!(codec::decode::<Bytes, _>(codec, &body).unwrap(), "text");
                assert_eq!(codec::decode::<ByteBuf, _>(codec, &body).unwrap(), *b"text");
                assert_eq!(codec::decode::<Vec<u8>, _>(codec, &body).unwrap(), b"text");
                assert_eq!(
                    codec::decode::<Transparent, _>(codec, &body).unwrap().0,
                    "text"
                );
                let text: &str = codec::decode_borrowed(codec, &body).unwrap();
                assert_eq!(text, "text");
                let bytes: &[u8] = codec::decode_borrowed(codec, &body).unwrap();
                assert_eq!(bytes, b"text");
            }
        }
    }
}

#[test]
fn bytes_of_a_body_that_is_given_away_are_not_copied() {
    for codec in codecs() {
        let body = || Body::from(b"text".to_vec());
        let owned = body();
        let at = owned.as_bytes().as_ptr();
        let bytes: Bytes = codec::decode_owned(&codec, owned).unwrap();
        assert_eq!((&bytes[..], bytes.as_ptr()), (&b"text"[..], at));
        let owned = body();
        let at = owned.as_bytes().as_ptr();
        let bytes: Vec<u8> = codec::decode_owned(&codec, owned).unwrap();
        assert_eq!((&bytes[..], bytes.as_ptr()), (&b"text"[..], at));
        let text: String = codec::decode_owned(&codec, body()).unwrap();
        assert_eq!(text, "text");
        let again: Vec<u16> = codec::decode_owned(&codec, encode(codec, &vec![7u16])).unwrap();
        assert_eq!(again, [7]);
    }
}

#[test]
fn text_and_bytes_that_are_given_away_become_a_body_without_a_copy() {
    for codec in codecs() {
        let mut arena = Arena::new();
        let owned = b"text".to_vec();
        let at = owned.as_ptr();
        let body = codec::encode_owned(&codec, owned, &mut arena).unwrap();
        assert_eq!((&body, body.as_bytes().as_ptr()), (&Body::from("text"), at));
        let owned = "text".to_owned();
        let at = owned.as_ptr();
        let body = codec::encode_owned(&codec, owned, &mut arena).unwrap();
        assert_eq!((&body, body.as_bytes().as_ptr()), (&Body::from("text"), at));
        let owned = Bytes::from(b"text".to_vec());
        let at = owned.as_ptr();
        let body = codec::encode_owned(&codec, owned, &mut arena).unwrap();
        assert_eq!((&body, body.as_bytes().as_ptr()), (&Body::from("text"), at));
        let numbers = codec::encode_owned(&codec, vec![7u16], &mut arena).unwrap();
        assert_eq!(numbers, encode(codec, &vec![7u16]));
    }
}

#[test]
fn what_is_more_than_text_or_bytes_is_left_to_the_codec() {
    for codec in codecs() {
        for body in [
            encode(codec, &()),
            encode(codec, &'c'),
            encode(codec, &Some("text")),
            encode(codec, &Newtype("text".into())),
            encode(codec, &vec!["text"]),
            encode(codec, &Celsius(1.0)),
            encode(codec, &Shape::Unit),
        ] {
            assert_eq!(body.encoding(), codec.encoding());
        }
    }
}

#[test]
fn whole_bytes_are_shared_and_not_copied() {
    let bytes = Bytes::from(vec![7; 100]);
    let body = codec::encode(&Bincode, &bytes, &mut Arena::new()).unwrap();
    assert_eq!(body.as_bytes().as_ptr(), bytes.as_ptr());
    let back: Bytes = codec::decode(&Json, &body).unwrap();
    assert_eq!(back.as_ptr(), bytes.as_ptr());
}

#[test]
fn an_empty_body_is_nothing_to_who_expects_nothing() {
    for codec in codecs() {
        codec::decode::<(), _>(&codec, &Body::empty()).unwrap();
        assert!(codec::decode::<(), _>(&codec, &Body::from("x")).is_err());
        assert!(codec::decode::<u8, _>(&codec, &Body::empty()).is_err());
    }
}

#[test]
fn an_address_is_raw_text_only_where_the_codec_is_for_people() {
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    assert_eq!(encode(Json.into(), &address), Body::from("127.0.0.1"));
    assert_eq!(
        encode(Bincode.into(), &address).encoding(),
        Bincode.encoding()
    );
}

#[test]
fn a_raw_body_where_more_was_expected_says_what() {
    fn message<T: DeserializeOwned + 'static>(body: &'static [u8]) -> String {
        let result = codec::decode::<T, _>(&Bincode, &Body::from(body));
        result.map(|_| ()).unwrap_err().to_string()
    }
    assert_eq!(
        message::<u32>(b"7"),
        "the body is raw bytes, and u32 was expected"
    );
    assert_eq!(
        message::<Point>(b""),
        "the body is raw bytes, and struct Point was expected"
    );
    assert_eq!(
        message::<Vec<String>>(b"x"),
        "the body is raw bytes, and a sequence was expected"
    );
    assert!(message::<String>(b"\xff").starts_with("the body is not text: "));
}

#[test]
fn a_body_in_another_encoding_is_refused_by_name() {
    let error = codec::decode::<u32, _>(&Bincode, &encode(Json.into(), &7u32)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the body is encoded as json (2), bincode (1) was expected"
    );
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.execution(), Execution::MaybeExecuted);
}

#[test]
fn an_encoding_without_a_codec_here_has_none() {
    assert_eq!(AnyCodec::of(Encoding::RAW), None);
    assert_eq!(AnyCodec::of(Encoding::new(77)), None);
    assert_eq!(name(Encoding::RAW), "raw");
    assert_eq!(name(Encoding::new(77)), "unknown");
}

#[test]
fn a_value_that_cannot_be_encoded_is_not_sent_and_says_why() {
    let keys = BTreeMap::from([((1, 2), 3)]);
    let error = codec::encode(&Json, &keys, &mut Arena::new()).unwrap_err();
    assert_eq!(error.to_string(), "the value cannot be encoded as json");
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.execution(), Execution::NotSent);
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "key must be a string");
}
