//! What an answer is still to go through when its frame is read.

use crate::{
    Body, Encoding, Error, Execution, Response,
    wire::{compression, numbers},
};

/// Puts the encoding that the call was bound with where the wire only said "that of the call".
pub(super) fn bind(
    result: Result<Response<Body>, Error>,
    encoding: Encoding,
) -> Result<Response<Body>, Error> {
    let is_bound = |given: u8| given == numbers::encoding::BOUND.number();
    match result {
        Ok(response) if is_bound(response.body().encoding().number()) => {
            Ok(response.map(|mut body| {
                body.set_encoding(encoding);
                body
            }))
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

/// The answer with its body as it was before the peer compressed it. For the task of who waits for it: the driver
/// has others to serve, and the memory is taken by who can use it.
pub(super) fn plain(result: Result<Response<Body>, Error>) -> Result<Response<Body>, Error> {
    match result {
        Ok(mut response) if response.body().is_compressed() => {
            let body = std::mem::take(response.body_mut());
            let plain = compression::decompress(body);
            let plain = plain.map_err(|error| error.with_execution(Execution::Executed))?;
            Ok(response.map(|_| plain))
        }
        result => result,
    }
}
