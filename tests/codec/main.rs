//! Values through every codec: what comes back, what travels raw and what is refused.

mod hostile;
mod raw;
mod shapes;
mod values;

use serde::{Serialize, de::DeserializeOwned};
use steeple::{
    Body, Error,
    codec::{self, AnyCodec, Arena, Codec},
};

fn codecs() -> impl Iterator<Item = AnyCodec> {
    AnyCodec::all().iter().copied()
}

fn encode<T: Serialize + 'static>(codec: AnyCodec, value: &T) -> Body {
    codec::encode(&codec, value, &mut Arena::new()).unwrap()
}

/// The bytes that the codec itself makes of a value.
fn bytes<T: Serialize>(codec: AnyCodec, value: &T) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    codec.encode(value, &mut out).unwrap();
    out.into()
}

fn refused<T: DeserializeOwned>(codec: AnyCodec, bytes: &[u8]) -> Error {
    match codec.decode::<T>(bytes) {
        Ok(_) => panic!("{codec:?} took {bytes:x?}"),
        Err(error) => error,
    }
}
