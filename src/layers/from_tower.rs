//! Where layers from elsewhere meet what this crate knows.

use tower::{load_shed::error::Overloaded, timeout::error::Elapsed};

use crate::{BoxError, Error, Execution, Kind};

/// The [`Error`] in what tower's own layers return: put `map_err(from_tower)` outside of them.
///
/// | what came | becomes |
/// |---|---|
/// | an [`Error`] | what it was |
/// | [`Elapsed`], of a timeout | [`Kind::Timeout`]; it may have been executed |
/// | [`Overloaded`], of a load shed | [`Kind::Overflow`], not started: it refuses before it calls |
/// | anything else | [`Kind::Internal`]; it may have been executed |
///
/// It takes the boxed errors that most of tower's layers return, and the errors of those that pass on what is below, as
/// a concurrency limit does: a stack may change its layers and keep its `map_err`. It is as true on a client as around
/// the service of a server.
///
/// ```
/// use std::time::Duration;
/// use steeple::{Error, Execution, Kind, Request, Response, from_tower};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let stack = ServiceBuilder::new()
///     .map_err(from_tower)
///     .timeout(Duration::from_millis(1))
///     .service(service_fn(|_: Request| std::future::pending::<Result<Response, Error>>()));
/// let error = stack.oneshot(Request::new("Hang", "".into())).await.unwrap_err();
/// assert_eq!(error.kind(), Kind::Timeout);
/// assert_eq!(error.execution(), Execution::MaybeExecuted);
/// # }
/// ```
pub fn from_tower<E: Into<BoxError>>(error: E) -> Error {
    let error = error.into();
    if error.is::<Elapsed>() {
        return Error::new(Kind::Timeout, "the time of a timeout layer has passed")
            .with_execution(Execution::MaybeExecuted)
            .with_source(error);
    }
    if error.is::<Overloaded>() {
        return Error::new(Kind::Overflow, "a load-shed layer has no room for the call")
            .with_execution(Execution::NotStarted)
            .with_source(error);
    }
    error.into()
}
