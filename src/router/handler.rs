//! What a handler is.

use std::{convert::Infallible, future::Future, marker::PhantomData};

use tower_layer::Layer;

use super::{
    Encoder, IntoResponse,
    extract::{Arguments, NoArgument},
    route::{Answering, Route, RouteService, Started},
};
use crate::{Error, Request, Response, RpcService};

/// A function that answers calls: plain or `async`, of up to eight arguments, as told [above](super#handlers).
///
/// It is implemented for the functions that fit, and for a [`Route`], which is one with its policy. The
/// parameter `M` is found by the compiler: it says what kind of function this is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a handler",
    note = "all arguments but the last are `FromRequestParts`: `Peer`, `Address`, `Metadata`, `Method`, `Deadline`, `State<T>`, `Extension<T>`",
    note = "the last may also be the value that the call carries, which is `DeserializeOwned`, or the `Request`; several values are one tuple or one struct",
    note = "it returns nothing, a value, or a `Result` of one and an error that is `Into<steeple::Error>`; a value of one's own without a `Result` is in a `Reply`",
    note = "it is `Send + Sync + 'static`, and so is what it captures; the future of an `async` one is `Send`; one that captures is `move |x| async move {{ … }}`"
)]
pub trait Handler<M, S>: Sized {
    /// This handler, to be run by the default policy.
    fn into_route(self) -> Route<S>;

    /// As [`Route::spawned`].
    fn spawned(self) -> Route<S> {
        self.into_route().spawned()
    }

    /// As [`Route::blocking`].
    fn blocking(self) -> Route<S> {
        self.into_route().blocking()
    }

    /// As [`Route::ordered`].
    fn ordered(self) -> Route<S> {
        self.into_route().ordered()
    }

    /// As [`Route::layer`].
    fn layer<L>(self, layer: L) -> Route<S>
    where
        L: Layer<RouteService> + Send + Sync + 'static,
        L::Service: RpcService + Clone + Send + Sync + 'static,
    {
        self.into_route().layer(layer)
    }
}

/// A function that fits: of which kind, says `M`.
pub trait Function<M, S>: Send + Sync + 'static {
    #[doc(hidden)]
    fn start(&self, request: &mut Request, state: &S) -> Started;
}

/// The handler is a plain function of arguments `A`.
#[derive(Debug)]
pub struct Plain<V, A>(Infallible, PhantomData<(V, A)>);

/// The handler is an `async` function of arguments `A`.
#[derive(Debug)]
pub struct Async<V, A>(Infallible, PhantomData<(V, A)>);

/// The handler is a function of kind `M`.
#[derive(Debug)]
pub struct Called<M>(Infallible, PhantomData<M>);

/// The handler is a [`Route`].
#[derive(Debug)]
pub enum Made {}

impl<F, M, S> Handler<Called<M>, S> for F
where
    F: Function<M, S>,
    M: 'static,
    S: Clone + Send + Sync + 'static,
{
    fn into_route(self) -> Route<S> {
        Route::new(self)
    }
}

impl<S> Handler<Made, S> for Route<S> {
    fn into_route(self) -> Self {
        self
    }
}

impl<F, R, S> Function<Plain<NoArgument, ()>, S> for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn start(&self, request: &mut Request, _: &S) -> Started {
        let encoder = Encoder::of(request);
        Started::Done(answer(self(), encoder))
    }
}

impl<F, Fut, S> Function<Async<NoArgument, ()>, S> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoResponse> + Send + 'static,
{
    fn start(&self, request: &mut Request, _: &S) -> Started {
        let encoder = Encoder::of(request);
        Started::Later(wait(self(), encoder))
    }
}

macro_rules! functions {
    ($($T:ident)*; $L:ident) => {
        #[allow(non_snake_case, reason = "an argument is called as its type")]
        impl<F, R, V, S, $($T,)* $L> Function<Plain<V, ($($T,)* $L,)>, S> for F
        where
            F: Fn($($T,)* $L) -> R + Send + Sync + 'static,
            R: IntoResponse,
            ($($T,)* $L,): Arguments<V, S>,
        {
            fn start(&self, request: &mut Request, state: &S) -> Started {
                let encoder = Encoder::of(request);
                Started::Done(match Arguments::extract(request, state) {
                    Ok(($($T,)* $L,)) => answer(self($($T,)* $L), encoder),
                    Err(error) => Err(error),
                })
            }
        }

        #[allow(non_snake_case, reason = "an argument is called as its type")]
        impl<F, Fut, V, S, $($T,)* $L> Function<Async<V, ($($T,)* $L,)>, S> for F
        where
            F: Fn($($T,)* $L) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoResponse> + Send + 'static,
            ($($T,)* $L,): Arguments<V, S>,
        {
            fn start(&self, request: &mut Request, state: &S) -> Started {
                let encoder = Encoder::of(request);
                match Arguments::extract(request, state) {
                    Ok(($($T,)* $L,)) => Started::Later(wait(self($($T,)* $L), encoder)),
                    Err(error) => Started::Done(Err(error)),
                }
            }
        }
    };
}

for_each_arity!(functions);

/// The answer of a handler that has run to its end, also where it fails: an error of a call that it made in
/// turn says how far that one got.
fn answer<R: IntoResponse>(returned: R, encoder: Encoder) -> Result<Response, Error> {
    returned.into_response(encoder).map_err(Error::executed)
}

fn wait<F>(handler: F, encoder: Encoder) -> Answering
where
    F: Future<Output: IntoResponse> + Send + 'static,
{
    Box::pin(async move { answer(handler.await, encoder) })
}
