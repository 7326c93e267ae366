//! The typed front of a stack.

use steeple_layers::explain::{Explain, Explanation};
use tower_service::Service;

use super::{Answer, Batch, Call, DefaultStack, Payload};
use crate::{
    Body, Codec, Error, Method, Request, Response,
    codec::{Arena, DefaultCodec},
    conn::RpcService,
};

/// Calls with values, over any tower [`Service`] from [`Request`] to [`Response`].
///
/// ```no_run
/// use std::time::Duration;
/// use steeple::{Client, Error};
///
/// # async fn example() -> Result<(), Error> {
/// let mut client = Client::connect("tcp://127.0.0.1:7000").await?;
/// let sum: i32 = client.call("Arith.Add", &(2, 3)).await?;
///
/// // With options:
/// let user: String = client
///     .call("Users.Name", &7)
///     .timeout(Duration::from_millis(200))
///     .metadata("tenant", "blue")
///     .idempotent(true)
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// `Client::connect` gives the default stack, whose name is `Client`. Over a stack of your own it is
/// `Client::new`:
///
/// ```
/// use steeple::{Client, Error, Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// // A test needs no server, and no connection.
/// let echo = service_fn(|request: Request| async move { Ok::<_, Error>(Response::new(request.into_body())) });
/// let stack = ServiceBuilder::new().concurrency_limit(10).service(echo);
/// let mut client = Client::new(stack);
/// let answer: String = client.call("Echo", "hello").await?;
/// assert_eq!(answer, "hello");
/// # Ok(())
/// # }
/// ```
///
/// A client is a cheap `Clone`, and a call borrows it until it is answered: **make one clone per task**. Clones
/// share what their services share – over a connection, the connection.
///
/// Method names are `&'static str`, `String` or a [`Method`]; the first and the last cost no allocation.
#[derive(Clone, Debug)]
pub struct Client<S = DefaultStack, C = DefaultCodec> {
    pub(super) service: S,
    pub(super) codec: C,
    arena: Arena,
}

#[cfg(any(feature = "bincode", feature = "json"))]
impl<S> Client<S> {
    /// A client over a service, with the default codec.
    pub fn new(service: S) -> Self {
        Self::with_codec(service, DefaultCodec)
    }
}

impl<S, C> Client<S, C> {
    /// A client over a service, with a codec. For one that is chosen at run time there is
    /// [`AnyCodec`](crate::codec::AnyCodec).
    pub fn with_codec(service: S, codec: C) -> Self {
        Self {
            service,
            codec,
            arena: Arena::new(),
        }
    }

    /// The same client with another codec.
    pub fn codec<D: Codec>(self, codec: D) -> Client<S, D> {
        Client::with_codec(self.service, codec)
    }

    /// What the stack does, from the outside in, with warnings of [known mistakes](steeple_layers::explain).
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), steeple::Error> {
    /// let client = steeple::Client::connect("tcp://10.0.0.1:7000,tcp://10.0.0.2:7000").await?;
    /// println!("{}", client.explain());
    /// // 1. Log: successes at DEBUG
    /// // 2. PropagateTrace
    /// // 3. Timeout: 20s unless the call says; kept by what is inside
    /// // 4. Retry: 3 attempts; waits of 10ms to 1s; a budget of 20 % of calls and 10 a second
    /// // 5. Balance: PeakEwma
    /// // 6. Replicas: 2 of 2 live; inside is tcp://10.0.0.1:7000
    /// // 7. Channel: tcp://10.0.0.1:7000
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain(&self) -> Explanation
    where
        S: Explain,
    {
        Explanation::of(&self.service)
    }

    /// The service below.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The service below, alone.
    pub fn into_service(self) -> S {
        self.service
    }
}

impl<S, C> Client<S, C>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<Error>,
    C: Codec,
{
    /// A call, to be awaited. The arguments are encoded now; the call is made when it is first polled, and
    /// dropping it cancels it.
    ///
    /// What the answer is taken as is inferred, or named: `client.call::<i32>("Arith.Add", &(2, 3))`. For a
    /// method that answers nothing it is `let () = client.call("Reset", &()).await?`.
    ///
    /// Only the bytes travel, not their types. A literal without a type is an `i32`, and by the default codec a handler
    /// of `(i64, i64)` cannot read two of these – or worse, one of `i64` reads them as one number. So write
    /// `&(2i64, 3i64)` where the handler takes that, or call with a struct that both sides share.
    ///
    /// Awaiting it gives the error of the stack, or [`Kind::Invalid`](crate::Kind::Invalid): not sent if the
    /// arguments cannot be encoded, executed if the answer cannot be decoded.
    pub fn call<T: Answer>(
        &mut self,
        method: impl Into<Method>,
        args: impl Payload,
    ) -> Call<'_, T, S, C> {
        let body = args.into_body(&self.codec, &mut self.arena);
        let request = body.map(|body| Request::new(method, body));
        Call::new(self, request)
    }

    /// A message without an answer, to be awaited: it is done when it was put out, and what becomes of it is not
    /// told. It never waits for room; without a live replica it waits as a call does.
    ///
    /// # Errors
    /// Awaiting it gives an error if it was not sent; [`Kind::Overflow`](crate::Kind::Overflow) if there is no
    /// room for it.
    pub fn notify(&mut self, method: impl Into<Method>, args: impl Payload) -> Call<'_, (), S, C> {
        let body = args.into_body(&self.codec, &mut self.arena);
        let request = body.map(|body| {
            let mut request = Request::new(method, body);
            request.cx_mut().set_one_way(true);
            request
        });
        Call::new(self, request)
    }

    /// As [`call`](Self::call), of a request that is already made. The answer is asked for in the encoding of
    /// the request or its body if they have one, else in that of the client.
    pub fn request<T: Answer>(&mut self, request: Request<Body>) -> Call<'_, T, S, C> {
        Call::new(self, Ok(request))
    }
}

impl<S, C> Client<S, C>
where
    S: RpcService + Clone + Send + 'static,
    C: Codec,
{
    /// An empty batch: calls that leave together.
    pub fn batch(&self) -> Batch<S, C> {
        Batch::new(self.service.clone(), self.codec.clone())
    }
}

/// Asks for the answer in the encoding of `codec`, unless the request says otherwise.
pub(super) fn ask_for<C: Codec>(codec: &C, request: &mut Request<Body>) {
    if request.encoding().is_raw() && request.body().encoding().is_raw() {
        request.set_encoding(codec.encoding());
    }
}
