//! The service of a side that serves nothing.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{Body, Error, Execution, Kind, Request, Response};

/// Answers every call that its method is not known: what a client serves unless told otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unserved;

impl Service<Request<Body>> for Unserved {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Ready<Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let text = format!(
            "this side serves nothing, and so not {:?}",
            request.method()
        );
        ready(Err(
            Error::new(Kind::Unimplemented, text).with_execution(Execution::NotStarted)
        ))
    }
}
