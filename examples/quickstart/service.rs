//! What the two sides serve: functions, by name.

use std::time::Duration;

use steeple::{Body, Client, Error, ErrorExt, Peer, Router, codec::AnyCodec};
use tokio::time::sleep;

use crate::api::{DIVISION_BY_ZERO, Division};

/// The server's methods.
pub(crate) fn of_the_server() -> Router {
    Router::new()
        .route("echo", echo)
        .route("divide", divide)
        .route("nap", nap)
        .route("greet", greet)
}

/// The client's one method.
pub(crate) fn of_the_client() -> Router {
    Router::new().route("name", || "quickstart")
}

/// What came goes back; nobody has to know what it means.
async fn echo(body: Body) -> Body {
    body
}

/// A computation. An application error is an answer like any other, with a code and details of one's own.
fn divide(codec: AnyCodec, division: Division) -> Result<u64, Error> {
    match division.dividend.checked_div(division.divisor) {
        Some(quotient) => Ok(quotient),
        None => Err(Error::application(DIVISION_BY_ZERO, "division by zero")
            .encode_details(&codec, &division)?),
    }
}

/// A method that is slow. When its caller gives up, it is dropped where it waits.
async fn nap(length: Duration) -> Duration {
    sleep(length).await;
    length
}

/// Asks the client that called for its name, over the same connection.
async fn greet(peer: Peer) -> Result<String, Error> {
    let name: String = Client::new(peer).call("name", &()).await?;
    Ok(format!("hello, {name}"))
}
