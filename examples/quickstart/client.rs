//! A client with values in its calls: some lines over any stack of layers.

use serde::{Serialize, de::DeserializeOwned};
use steeple::{
    Error, Request, Response,
    codec::{Arena, decode, encode},
};
use tower::{Service, ServiceExt, util::BoxCloneService};

use crate::api::CODEC;

/// Calls with values over a stack of layers, whatever these are. Cheap to clone: one for each task.
#[derive(Clone)]
pub(crate) struct Client {
    stack: BoxCloneService<Request, Response, Error>,
    arena: Arena,
}

/// The answer to a call that has been made.
pub(crate) type Answer = <BoxCloneService<Request, Response, Error> as Service<Request>>::Future;

impl Client {
    pub(crate) fn new<S>(stack: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Error, Future: Send>,
        S: Clone + Send + 'static,
    {
        Self {
            stack: BoxCloneService::new(stack),
            arena: Arena::new(),
        }
    }

    /// Calls, and waits for the answer.
    pub(crate) async fn call<T, R>(&mut self, method: &'static str, value: &T) -> Result<R, Error>
    where
        T: Serialize + 'static,
        R: DeserializeOwned + 'static,
    {
        let request = self.request(method, value)?;
        let response = self.send(request).await?.await?;
        decode(&CODEC, response.body())
    }

    /// A request that is not yet sent, for whoever has something to set about it.
    pub(crate) fn request<T>(&mut self, method: &'static str, value: &T) -> Result<Request, Error>
    where
        T: Serialize + 'static,
    {
        let body = encode(&CODEC, value, &mut self.arena)?;
        Ok(Request::new(method, body))
    }

    /// The two steps of every call in tower: wait until the stack is ready, and call it. The call is then on
    /// its way, and the answer only waited for.
    pub(crate) async fn send(&mut self, request: Request) -> Result<Answer, Error> {
        Ok(self.stack.ready().await?.call(request))
    }
}
