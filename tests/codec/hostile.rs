//! What is no value, or too much of one.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use steeple::{
    Body, Kind,
    codec::{self, AnyCodec, Arena, Bincode, Codec, Json, MAX_DEPTH, MsgPack},
};

use crate::{
    bytes, codecs, refused,
    values::{Dir, List, Node, Outer, Pair, Point, Recursive, Shape, Tree},
};

#[test]
fn bytes_left_over_after_a_value_are_counted_in_the_error() {
    for codec in codecs() {
        let mut encoded = bytes(codec, &Pair(1, 2));
        for extra in [1, 3] {
            encoded.resize(bytes(codec, &Pair(1, 2)).len() + extra, 0x91);
            let s = if extra == 1 { "" } else { "s" };
            assert_eq!(
                refused::<Pair>(codec, &encoded).to_string(),
                format!("{extra} byte{s} left over after the value")
            );
        }
    }
}

#[test]
fn space_around_json_is_no_part_of_the_value() {
    assert_eq!(Json.decode::<u8>(b" 7 \n").unwrap(), 7);
    let error = Json.decode::<u8>(b"7 \n7 ").unwrap_err();
    assert_eq!(error.to_string(), "2 bytes left over after the value");
}

#[test]
fn a_value_cut_short_anywhere_is_an_error() {
    let value = Outer {
        inner: Point {
            x: 1,
            y: 2,
            label: Some("label".into()),
        },
        all: vec![Pair(1, 2), Pair(3, 4)],
    };
    for codec in codecs() {
        let encoded = bytes(codec, &value);
        for len in 0..encoded.len() {
            let error = refused::<Outer>(codec, &encoded[..len]);
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(std::error::Error::source(&error).is_some());
        }
    }
}

/// The head of a sequence, map, text or bytes of `len`, in every way that a codec has to write it.
fn heads(codec: AnyCodec, len: u64) -> Vec<Vec<u8>> {
    match codec {
        AnyCodec::Bincode(_) => vec![len.to_le_bytes().to_vec()],
        AnyCodec::Postcard(_) => vec![bytes(codec, &len)],
        AnyCodec::MsgPack(_) => {
            let len = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
            let kinds = [0xc6, 0xdb, 0xdd, 0xdf];
            kinds.map(|kind| [&[kind], &len[..]].concat()).into()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_length_that_is_only_announced_is_an_error() {
    for codec in codecs() {
        for len in [1 << 62, 1 << 36, 1 << 30, 1 << 16] {
            for mut head in heads(codec, len) {
                head.extend([0; 4]);
                refused::<String>(codec, &head);
                refused::<Bytes>(codec, &head);
                refused::<ByteBuf>(codec, &head);
                refused::<Vec<u8>>(codec, &head);
                refused::<Vec<[u64; 32]>>(codec, &head);
                refused::<Vec<String>>(codec, &head);
                refused::<VecDeque<u64>>(codec, &head);
                refused::<HashMap<u64, u64>>(codec, &head);
                refused::<Vec<()>>(codec, &head);
                refused::<Vec<Vec<()>>>(codec, &[&head[..], &head[..]].concat());
                refused::<BTreeMap<(), ()>>(codec, &head);
            }
        }
    }
}

#[test]
fn elements_without_bytes_do_not_turn_a_loop_for_ever() {
    let mut announced = (1u64 << 62).to_le_bytes().to_vec();
    let error = refused::<Vec<()>>(Bincode.into(), &announced);
    assert_eq!(
        error.to_string(),
        "the value announces more elements than its bytes can hold"
    );
    announced.splice(.., 4096u64.to_le_bytes());
    assert_eq!(Bincode.decode::<Vec<()>>(&announced).unwrap().len(), 4096);
}

#[test]
fn bytes_beyond_the_limit_of_bincode_are_refused_by_name() {
    let bytes = vec![0; Bincode::MAX_LEN + 1];
    let error = Bincode.decode::<u8>(&bytes).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        source.to_string(),
        "1073741825 bytes exceed the limit 1073741824"
    );
}

fn nested<T: Recursive>(levels: usize) -> T {
    (0..levels).fold(T::leaf(), |value, _| value.around())
}

/// What one more level puts in front of a value.
fn opening<T: Recursive>(codec: AnyCodec) -> Vec<u8> {
    let inner = bytes(codec, &nested::<T>(2));
    let outer = bytes(codec, &nested::<T>(3));
    let len = (1..outer.len())
        .find(|&len| outer[len..].starts_with(&inner))
        .unwrap();
    outer[..len].to_vec()
}

const TOO_DEEP: &str = "the value is nested deeper than 128 levels";

#[test]
fn nesting_ends_at_the_same_level_in_every_codec_and_both_ways() {
    let deepest: Tree = nested(MAX_DEPTH);
    let too_deep: Tree = nested(MAX_DEPTH + 1);
    for codec in codecs() {
        let encoded = bytes(codec, &deepest);
        assert_eq!(codec.decode::<Tree>(&encoded).unwrap(), deepest);

        let error = codec::encode(&codec, &too_deep, &mut Arena::new()).unwrap_err();
        assert_eq!(error.to_string(), TOO_DEEP, "{codec:?}");
        let deeper = [&opening::<Tree>(codec)[..], &encoded].concat();
        assert_eq!(refused::<Tree>(codec, &deeper).to_string(), TOO_DEEP);
    }
}

#[test]
fn a_mebibyte_of_nesting_is_an_error_and_not_the_end_of_the_stack() {
    fn refuse<T: Recursive>() {
        for codec in codecs() {
            let opening = opening::<T>(codec);
            let hostile = opening.repeat((1 << 20) / opening.len());
            assert_eq!(refused::<T>(codec, &hostile).to_string(), TOO_DEEP);

            // Not deeper, because dropping it takes stack too.
            let value = nested::<T>(1000);
            let error = codec::encode(&codec, &value, &mut Arena::new()).unwrap_err();
            assert_eq!(error.to_string(), TOO_DEEP);
        }
    }
    on_a_small_stack(|| {
        refuse::<Tree>();
        refuse::<List>();
        refuse::<Node>();
        refuse::<Dir>();
    });
}

#[test]
fn nesting_that_takes_no_bytes_is_an_error_too() {
    #[derive(Serialize, Deserialize)]
    struct Endless(Box<Endless>);
    #[derive(Serialize, Deserialize)]
    struct Link(Option<Box<Link>>);
    on_a_small_stack(|| {
        for codec in codecs() {
            assert_eq!(refused::<Endless>(codec, b"").to_string(), TOO_DEEP);
            assert_eq!(refused::<Link>(codec, &[1; 1000]).to_string(), TOO_DEEP);
        }
    });
}

#[test]
fn nesting_is_counted_also_where_the_bytes_say_what_they_are() {
    on_a_small_stack(|| {
        for (codec, opening) in [(AnyCodec::from(Json), b'['), (MsgPack.into(), 0x91)] {
            let hostile = vec![opening; 1 << 20];
            let error = refused::<serde_json::Value>(codec, &hostile);
            assert_eq!(error.to_string(), TOO_DEEP);
        }
    });
}

/// What tokio gives a worker. A level takes some 3 KiB of it in a debug build, and a tenth of that in release.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(test);
    thread.unwrap().join().unwrap();
}

fn never_panics(hostile: &[u8]) {
    let raw = Body::from(hostile.to_vec());
    for codec in codecs() {
        _ = codec.decode::<Outer>(hostile);
        _ = codec.decode::<Vec<Shape>>(hostile);
        _ = codec.decode::<Dir>(hostile);
        _ = codec.decode::<HashMap<String, Option<Bytes>>>(hostile);
        _ = codec.decode::<(char, f64, bool, i128, Duration, IpAddr)>(hostile);
        _ = codec.decode::<serde_json::Value>(hostile);
        _ = codec::decode::<Outer, _>(&codec, &raw);
        _ = codec::decode::<serde_json::Value, _>(&codec, &raw);
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_value_or_an_error(hostile in prop::collection::vec(any::<u8>(), 0..200)) {
        never_panics(&hostile);
    }

    #[test]
    fn a_damaged_value_gives_a_value_or_an_error(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        label in ".{0,20}",
    ) {
        let inner = Point { x: 1, y: -1, label: Some(label) };
        let value = Outer { inner, all: vec![Pair(1, 2), Pair(3, 4)] };
        for codec in codecs() {
            let mut damaged = bytes(codec, &value);
            let at = at.index(damaged.len());
            damaged[at] = byte;
            never_panics(&damaged);
        }
    }
}
