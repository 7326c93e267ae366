//! What an answer is still to go through when its frame is read.

use std::mem;

use super::mailbox::{CallResult, Recipient};
use crate::{
    Encoding, Error, Execution,
    wire::{Id, compression, numbers},
};

/// What the peer answered, on its way to who waits for it.
#[derive(Debug)]
pub(super) struct Answer {
    /// The call.
    pub(super) id: Id,
    pub(super) result: CallResult,
    /// Who waits for it, as the outbox knows; nobody if the call has ended.
    pub(super) recipient: Option<Recipient>,
}

impl Answer {
    pub(super) fn new(id: Id, result: CallResult) -> Self {
        Self {
            id,
            result,
            recipient: None,
        }
    }

    /// Puts the encoding that the call was bound with where the wire only said "that of the call".
    pub(super) fn bind(&mut self, encoding: Encoding) {
        let is_bound = |given: u8| given == numbers::encoding::BOUND.number();
        match &mut self.result {
            Ok(response) if is_bound(response.body().encoding().number()) => {
                response.body_mut().set_encoding(encoding);
            }
            Ok(_) => {}
            Err(error) => {
                let application = error.as_application();
                if let Some((given, bytes)) = application.and_then(|it| it.details())
                    && is_bound(given)
                {
                    let (bytes, plain): (Box<[u8]>, _) =
                        (bytes.into(), Error::new(error.kind(), ""));
                    let error = mem::replace(error, plain);
                    self.result = Err(error.with_details(encoding.number(), bytes));
                }
            }
        }
    }
}

/// The answer with its body as it was before the peer compressed it. For the task of who waits for it: the driver
/// has others to serve, and the memory is taken by who can use it.
pub(super) fn plain(result: CallResult) -> CallResult {
    match result {
        Ok(mut response) if response.body().is_compressed() => {
            let body = mem::take(response.body_mut());
            let plain = compression::decompress(body);
            let plain = plain.map_err(|error| error.with_execution(Execution::Executed))?;
            Ok(response.map(|_| plain))
        }
        result => result,
    }
}
