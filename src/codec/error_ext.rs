//! Application errors with values in them.

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    AnyCodec, Codec,
    body::{decode_borrowed, decode_raw},
    name,
};
use crate::{Body, Encoding, Error, Kind};

/// What an [application error](Error::application) says beyond its code and text: a value of the
/// application's own, encoded as its details.
///
/// ```
/// # #[cfg(feature = "json")] {
/// use serde::{Deserialize, Serialize};
/// use steeple::{Error, ErrorExt, codec::Json};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct OutOfStock {
///     left: u32,
/// }
///
/// // In the handler:
/// let error = Error::application(7, "out of stock").encode_details(&Json, &OutOfStock { left: 2 })?;
///
/// // Where it arrives:
/// let details = error.decode_details::<OutOfStock>().unwrap()?;
/// assert_eq!(details, OutOfStock { left: 2 });
/// # }
/// # Ok::<(), steeple::Error>(())
/// ```
pub trait ErrorExt: sealed::Sealed + Sized {
    /// The same error with `value` as its details; an error that is no application error carries none and is
    /// returned unchanged.
    ///
    /// # Errors
    /// [`Kind::Invalid`], executed: `value` cannot be encoded.
    fn encode_details<T, C>(self, codec: &C, value: &T) -> Result<Self, Error>
    where
        T: Serialize + ?Sized,
        C: Codec;

    /// The details as a `T`, by the codec of this crate that they were encoded with; `None` if this is no
    /// application error or has no details.
    ///
    /// # Errors
    /// [`Kind::Invalid`], executed: the details are no `T`, or this build has no codec for their encoding.
    fn decode_details<T: DeserializeOwned>(&self) -> Option<Result<T, Error>>;

    /// As [`decode_details`](Self::decode_details), by a codec of one's own.
    ///
    /// # Errors
    /// [`Kind::Invalid`], executed: the details are no `T`, or in another encoding.
    fn decode_details_with<T, C>(&self, codec: &C) -> Option<Result<T, Error>>
    where
        T: DeserializeOwned,
        C: Codec;
}

impl ErrorExt for Error {
    fn encode_details<T, C>(self, codec: &C, value: &T) -> Result<Self, Error>
    where
        T: Serialize + ?Sized,
        C: Codec,
    {
        let mut bytes = BytesMut::new();
        codec.encode(value, &mut bytes).map_err(Error::executed)?;
        Ok(self.with_details(codec.encoding().number(), &bytes[..]))
    }

    fn decode_details<T: DeserializeOwned>(&self) -> Option<Result<T, Error>> {
        let details = details(self)?;
        let encoding = details.encoding();
        let result = match AnyCodec::of(encoding) {
            Some(codec) => decode_borrowed(&codec, &details),
            None if encoding.is_raw() => decode_raw(&details, true),
            None => Err(Error::new(
                Kind::Invalid,
                format!(
                    "the details are encoded as {} ({}), for which this build has no codec",
                    name(encoding),
                    encoding.number(),
                ),
            )),
        };
        Some(result.map_err(Error::executed))
    }

    fn decode_details_with<T, C>(&self, codec: &C) -> Option<Result<T, Error>>
    where
        T: DeserializeOwned,
        C: Codec,
    {
        let details = details(self)?;
        Some(decode_borrowed(codec, &details).map_err(Error::executed))
    }
}

fn details(error: &Error) -> Option<Body> {
    let (encoding, bytes) = error.as_application()?.details()?;
    let bytes = Bytes::copy_from_slice(bytes);
    Some(Body::encoded(bytes, Encoding::new(encoding)))
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for crate::Error {}
}

#[cfg(all(test, feature = "bincode", feature = "json"))]
mod tests {
    use super::*;
    use crate::{
        Execution,
        codec::{Bincode, Json},
    };

    #[test]
    fn details_come_back_by_the_codec_they_were_encoded_with() {
        let details = (7u32, "seven".to_owned());
        for error in [
            Error::application(1, "x").encode_details(&Bincode, &details),
            Error::application(1, "x").encode_details(&Json, &details),
        ] {
            let decoded = error.unwrap().decode_details::<(u32, String)>();
            assert_eq!(decoded.unwrap().unwrap(), details);
        }
    }

    #[test]
    fn an_error_without_details_has_none_to_decode() {
        assert!(Error::application(1, "x").decode_details::<u32>().is_none());
        let internal = Error::new(Kind::Internal, "x");
        let unchanged = internal.encode_details(&Json, &1).unwrap();
        assert!(unchanged.decode_details::<u32>().is_none());
    }

    #[test]
    fn raw_details_are_text_or_bytes() {
        let error = Error::application(1, "x").with_details(0, *b"why");
        assert_eq!(error.decode_details::<String>().unwrap().unwrap(), "why");
        assert!(error.decode_details::<u32>().unwrap().is_err());
    }

    #[test]
    fn details_that_cannot_be_decoded_give_an_executed_error_that_says_why() {
        let error = Error::application(1, "x").with_details(77, *b"?");
        let failed = error.decode_details::<u32>().unwrap().unwrap_err();
        assert_eq!(failed.kind(), Kind::Invalid);
        assert_eq!(failed.execution(), Execution::Executed);
        assert_eq!(
            failed.to_string(),
            "the details are encoded as unknown (77), for which this build has no codec"
        );

        let failed = error.decode_details_with::<u32, _>(&Json).unwrap();
        assert_eq!(
            failed.unwrap_err().to_string(),
            "the body is encoded as unknown (77), json (2) was expected"
        );
    }
}
