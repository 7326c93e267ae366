//! Every shape of value, there and back.

#![expect(
    clippy::disallowed_types,
    reason = "a point in time is a value like any other here"
)]

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fmt::Debug,
    net::IpAddr,
    num::NonZeroU16,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use steeple::codec::{self, AnyCodec, Arena, Bincode, Codec, Json, MsgPack, Postcard};

use crate::{
    bytes, codecs, encode,
    values::{
        Celsius, Dir, List, Newtype, Node, Outer, Pair, Point, Recursive, Shape, Stamp,
        Transparent, Tree, Unit,
    },
};

fn comes_back<T>(value: T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + 'static,
{
    for codec in codecs() {
        let body = encode(codec, &value);
        match codec::decode::<T, _>(&codec, &body) {
            Ok(decoded) => assert_eq!(decoded, value, "{codec:?}"),
            Err(error) => panic!("{codec:?} of {value:?}: {error:?}"),
        }
        let decoded = codec.decode::<T>(&bytes(codec, &value));
        assert_eq!(decoded.unwrap(), value, "{codec:?} without raw bodies");
    }
}

macro_rules! shapes {
    ($($name:ident: [$($value:expr),* $(,)?])*) => {$(
        #[test]
        fn $name() {
            $(comes_back($value);)*
        }
    )*};
}

shapes! {
    nothing_comes_back: [(), Unit]
    booleans_and_characters_come_back: [true, false, 'a', 'ß', '\u{10FFFF}']
    integers_of_every_width_come_back: [
        u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX, usize::MAX,
        i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN, isize::MIN,
        0u8, 0i64, -1i128, NonZeroU16::MIN,
    ]
    floats_come_back_exactly: [
        0.1f32, f32::MIN_POSITIVE, 0.1f64, f64::MAX, f64::EPSILON, 2.5e-324f64, -0.0f64,
    ]
    text_comes_back: [String::new(), "hällo \"\\\n\u{1F600}".to_owned()]
    bytes_come_back: [
        Vec::<u8>::new(), vec![0u8, 255, 128], ByteBuf::from(vec![0u8, 255]), Bytes::new(),
        Bytes::from_static(b"\xff\x00"), vec![Bytes::from_static(b"\xff")], Some(ByteBuf::from([1])),
    ]
    sequences_and_tuples_come_back: [
        Vec::<u64>::new(), vec![1u64, 2, u64::MAX], vec![(), ()], vec![vec![1i8], vec![]],
        VecDeque::from([1u16, 2]), HashSet::from(["a".to_owned()]), [1u32; 5], (1u8, "two".to_owned(), 3.0f64),
        (((1u8,),),), Box::new([1u8, 2]) as Box<[u8]>,
    ]
    maps_come_back: [
        BTreeMap::<String, u32>::new(), BTreeMap::from([(1u64, "one".to_owned()), (2, "two".to_owned())]),
        HashMap::from([("k".to_owned(), BTreeMap::from([(-1i8, vec![true])]))]),
    ]
    options_and_results_come_back: [
        None::<u32>, Some(7u32), Some(String::new()), vec![None, Some(1u8)],
        Ok::<u8, String>(1), Err::<u8, _>("no".to_owned()),
    ]
    structs_come_back: [
        Newtype("n".to_owned()), Transparent("t".to_owned()), Pair(1, -1),
        Point { x: 1, y: -1, label: None },
        Outer { inner: Point { x: 0, y: 0, label: Some("o".into()) }, all: vec![Pair(1, 2)] },
    ]
    enums_come_back: [
        Shape::Unit, Shape::Newtype(7), Shape::Tuple(1, "t".into()), Shape::Struct { a: 1, b: None },
        vec![Shape::Unit, Shape::Struct { a: 0, b: Some(Box::new(Shape::Unit)) }],
    ]
    recursive_values_come_back: [
        Tree::Leaf, Tree::Leaf.around().around(), List::leaf().around().around(),
        Node::leaf().around(), Dir::leaf().around(),
    ]
    times_come_back: [
        Duration::ZERO, Duration::new(u64::MAX, 999_999_999), Stamp { micros: -1 },
        SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
    ]
    custom_encodings_come_back: [Celsius(21.5), vec![Celsius(-1.0)]]
    addresses_come_back_as_text_or_as_numbers: ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse::<IpAddr>().unwrap()]
}

#[test]
fn fields_that_are_skipped_are_not_sent() {
    #[derive(Serialize, Deserialize)]
    struct Account {
        name: String,
        #[serde(skip)]
        secret: String,
    }
    for codec in codecs() {
        let account = Account {
            name: "visible".into(),
            secret: "hunter2".into(),
        };
        let body = encode(codec, &account);
        assert!(!body.as_bytes().windows(7).any(|bytes| bytes == b"hunter2"));
        let back: Account = codec::decode(&codec, &body).unwrap();
        assert_eq!((&*back.name, &*back.secret), ("visible", ""));
    }
}

#[test]
fn fields_may_be_added_where_the_codec_names_them() {
    #[derive(Serialize)]
    struct New {
        added: Vec<u8>,
        kept: u32,
    }
    #[derive(Deserialize)]
    struct Old {
        kept: u32,
        #[serde(default)]
        gone: u32,
    }
    let new = New {
        added: vec![1],
        kept: 7,
    };
    for codec in [AnyCodec::from(Json), MsgPack.into()] {
        let old: Old = codec::decode(&codec, &encode(codec, &new)).unwrap();
        assert_eq!((old.kept, old.gone), (7, 0));
    }
}

#[test]
fn text_and_bytes_inside_of_a_value_are_borrowed_from_the_body() {
    #[derive(Serialize, Deserialize)]
    struct Borrowed<'a> {
        text: &'a str,
        #[serde(with = "serde_bytes")]
        bytes: &'a [u8],
    }
    for codec in [AnyCodec::from(Bincode), Postcard.into(), MsgPack.into()] {
        let value = Borrowed {
            text: "text",
            bytes: &[1, 2, 3],
        };
        let body = codec::encode_borrowed(&codec, &value, &mut Arena::new()).unwrap();
        let back: Borrowed<'_> = codec::decode_borrowed(&codec, &body).unwrap();
        assert_eq!((back.text, back.bytes), (value.text, value.bytes));
        assert!(
            body.as_bytes()
                .as_ptr_range()
                .contains(&back.bytes.as_ptr())
        );
        assert_eq!(body.as_bytes().slice_ref(back.bytes), value.bytes);
    }
}

/// What a peer of another version reads: these bytes are a contract.
#[test]
fn the_bytes_of_a_value_stay_what_they_are() {
    let value = Shape::Struct {
        a: 7,
        b: Some(Box::new(Shape::Tuple(1, "t".into()))),
    };
    let expected: [(AnyCodec, &[u8]); 4] = [
        (
            Bincode.into(),
            b"\x03\0\0\0\x07\x01\x02\0\0\0\x01\x01\0\0\0\0\0\0\0t",
        ),
        (Json.into(), br#"{"Struct":{"a":7,"b":{"Tuple":[1,"t"]}}}"#),
        (Postcard.into(), b"\x03\x07\x01\x02\x01\x01t"),
        (
            MsgPack.into(),
            b"\x81\xa6Struct\x82\xa1a\x07\xa1b\x81\xa5Tuple\x92\x01\xa1t",
        ),
    ];
    for (codec, expected) in expected {
        assert_eq!(bytes(codec, &value), expected, "{codec:?}");
    }
}

proptest! {
    #[test]
    fn any_value_comes_back(
        x in any::<i32>(),
        floats in prop::collection::vec(any::<f64>(), 0..10),
        text in any::<Option<String>>(),
        map in any::<HashMap<u64, String>>(),
    ) {
        comes_back((x, floats, text, map));
    }
}
