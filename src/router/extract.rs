//! From a request to the arguments of a handler.

use std::{error::Error as _, iter, mem};

use serde::de::DeserializeOwned;

use super::coding;
use crate::{Body, Error, Execution, Kind, Origin, Request};

/// An argument of a handler that leaves the request as it is, so that others can follow it.
///
/// An extractor looks at what is there and does not wait. What has to – to ask a database who this is –
/// belongs in a layer, which leaves what it found as an [`Extension`](super::Extension).
///
/// ```
/// use steeple::{Error, Kind, Request, Router, router::FromRequestParts};
///
/// /// On whose behalf the call is made.
/// struct Tenant(String);
///
/// impl<S> FromRequestParts<S> for Tenant {
///     fn from_request_parts(request: &Request, _state: &S) -> Result<Self, Error> {
///         match request.metadata().get_str("tenant") {
///             Some(tenant) => Ok(Self(tenant.to_owned())),
///             None => Err(Error::new(Kind::Unauthenticated, "the metadata names no tenant")),
///         }
///     }
/// }
///
/// async fn greet(Tenant(tenant): Tenant, name: String) -> String {
///     format!("{name} of {tenant}")
/// }
///
/// let router: Router = Router::new().route("Greet", greet);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler, unless it is the last",
    label = "not `FromRequestParts`",
    note = "before the last stand what leaves the request whole, such as `Peer`, `Metadata` and `State<T>`; the value that the call carries is the last"
)]
pub trait FromRequestParts<S>: Sized {
    /// The argument, or why the request has none.
    ///
    /// # Errors
    /// Any; the call is answered with it and the handler does not run. So its caller is told
    /// [`NotStarted`](Execution::NotStarted), unless it is an [application's](Kind::Application).
    fn from_request_parts(request: &Request, state: &S) -> Result<Self, Error>;
}

/// The last argument of a handler, which may use the request up.
///
/// It is there for types that take the body as bytes, as [`Request`] and [`Body`] do. For a value that is in the body
/// a type needs only to be `DeserializeOwned`; it must not be both.
pub trait FromRequest<S>: Sized {
    /// The argument, or why the request has none.
    ///
    /// # Errors
    /// As [`FromRequestParts::from_request_parts`].
    fn from_request(request: Request, state: &S) -> Result<Self, Error>;
}

/// The arguments of a handler. The parameter `V` says what the last one is.
pub trait Arguments<V, S>: Sized {
    #[doc(hidden)]
    fn extract(request: &mut Request, state: &S) -> Result<Self, Error>;
}

/// The last argument: `V` says by which of the three traits, and so keeps them from overlapping.
pub trait Last<V, S>: Sized {
    #[doc(hidden)]
    fn last(request: &mut Request, state: &S) -> Result<Self, Error>;
}

/// There is no argument.
#[derive(Debug)]
pub enum NoArgument {}

/// The last argument leaves the request as it is.
#[derive(Debug)]
pub enum ViaParts {}

/// The last argument takes the request.
#[derive(Debug)]
pub enum ViaRequest {}

/// The last argument is the value in the body.
#[derive(Debug)]
pub enum ViaValue {}

impl<T: FromRequestParts<S>, S> Last<ViaParts, S> for T {
    fn last(request: &mut Request, state: &S) -> Result<Self, Error> {
        T::from_request_parts(request, state)
    }
}

impl<T: FromRequest<S>, S> Last<ViaRequest, S> for T {
    fn last(request: &mut Request, state: &S) -> Result<Self, Error> {
        let taken = mem::replace(request, Request::new("", Body::empty()));
        T::from_request(taken, state)
    }
}

impl<T: DeserializeOwned + 'static, S> Last<ViaValue, S> for T {
    fn last(request: &mut Request, _: &S) -> Result<Self, Error> {
        coding::decode(mem::take(request.body_mut())).map_err(|error| {
            let (name, method) = (short_name::<T>(), request.method());
            // Causes mostly do not travel, and the caller is who can do something about these.
            let why = in_a_line(&error);
            let text = format!("the argument `{name}` of {method:?} cannot be decoded: {why}");
            Error::new(Kind::Invalid, text)
        })
    }
}

impl<S> FromRequest<S> for Request {
    fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        Ok(request)
    }
}

impl<S> FromRequest<S> for Body {
    fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        Ok(request.into_body())
    }
}

macro_rules! arguments {
    ($($T:ident)*; $L:ident) => {
        impl<V, S, $($T,)* $L> Arguments<V, S> for ($($T,)* $L,)
        where
            $($T: FromRequestParts<S>,)*
            $L: Last<V, S>,
        {
            fn extract(request: &mut Request, state: &S) -> Result<Self, Error> {
                Ok((
                    $($T::from_request_parts(request, state).map_err(refused)?,)*
                    $L::last(request, state).map_err(refused)?,
                ))
            }
        }
    };
}

for_each_arity!(arguments);

/// What the caller is told when an argument is missing: that the handler did not run.
fn refused(error: Error) -> Error {
    match error.kind() {
        Kind::Application => error.executed(),
        _ => error
            .with_origin(Origin::Local)
            .with_execution(Execution::NotStarted),
    }
}

fn in_a_line(error: &Error) -> String {
    let mut text = error.to_string();
    for cause in iter::successors(error.source(), |&cause| cause.source()) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

/// The name of a type without the modules that it and its parameters are in.
pub(super) fn short_name<T>() -> String {
    let is_path = |char: char| char.is_alphanumeric() || char == '_' || char == ':';
    std::any::type_name::<T>()
        .split_inclusive(|char| !is_path(char))
        .filter_map(|path| path.rsplit("::").next())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_type_is_called_by_its_name_without_modules() {
        type Nested = BTreeMap<String, Vec<(u8, Option<Error>)>>;
        let name = short_name::<Nested>();
        assert_eq!(name, "BTreeMap<String, Vec<(u8, Option<Error>)>>");
        assert_eq!(short_name::<[u8; 4]>(), "[u8; 4]");
    }
}
