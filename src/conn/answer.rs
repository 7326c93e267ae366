//! What the wire leaves out of an answer because the call knows it.

use crate::{Body, Encoding, Error, Response, wire::numbers};

/// Puts the encoding that the call was bound with where the wire only said "that of the call".
pub(super) fn bind(
    result: Result<Response<Body>, Error>,
    encoding: Encoding,
) -> Result<Response<Body>, Error> {
    let is_bound = |given: u8| given == numbers::encoding::BOUND.number();
    match result {
        Ok(response) if is_bound(response.body().encoding().number()) => {
            Ok(response.map(|body| Body::encoded(body.into_bytes(), encoding)))
        }
        Err(error) => {
            let details = error
                .as_application()
                .and_then(|application| application.details());
            match details {
                Some((given, bytes)) if is_bound(given) => {
                    let bytes: Box<[u8]> = bytes.into();
                    Err(error.with_details(encoding.number(), bytes))
                }
                _ => Err(error),
            }
        }
        ok => ok,
    }
}
