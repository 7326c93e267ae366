//! What the two sides serve: a function from a request to a response or an error.

use std::time::Duration;

use steeple::{Body, Error, Kind, Peer, Request, Response};
use tower::ServiceExt;

/// The code of the application error below. Its meaning is a matter of the two sides alone.
pub(crate) const NOT_A_NUMBER: u16 = 7;
/// In milliseconds: for nobody to wait for.
pub(crate) const LONG_NAP: &str = "3600000";
/// In milliseconds.
pub(crate) const SHORT_NAP: &str = "50";
/// What a nap answers.
pub(crate) const GOOD_MORNING: &str = "good morning";

/// The server's methods.
pub(crate) async fn handle(request: Request) -> Result<Response, Error> {
    match request.method().as_str() {
        "echo" => Ok(Response::new(request.into_body())),
        "sum" => sum(request),
        "nap" => nap(request).await,
        "greet" => greet(request).await,
        other => Err(Error::new(
            Kind::Unimplemented,
            format!("there is no method {other:?}"),
        )),
    }
}

/// The client's one method.
pub(crate) async fn handle_of_the_client(_: Request) -> Result<Response, Error> {
    Ok(Response::new(Body::from("quickstart")))
}

/// A computation of numbers with spaces between them.
fn sum(request: Request) -> Result<Response, Error> {
    let mut total = 0;
    for word in request.body().as_bytes().split(|byte| *byte == b' ') {
        total += number(word)?;
    }
    Ok(Response::new(total.to_string().into()))
}

/// A method that is slow. When its caller gives up, it is dropped where it waits.
async fn nap(request: Request) -> Result<Response, Error> {
    let length = Duration::from_millis(number(request.body().as_bytes())?);
    tokio::time::sleep(length).await;
    Ok(Response::new(GOOD_MORNING.into()))
}

/// An application error is an answer like any other, with a code of one's own.
fn number(word: &[u8]) -> Result<u64, Error> {
    let word = std::str::from_utf8(word).ok();
    let number = word.and_then(|word| word.parse().ok());
    number.ok_or_else(|| Error::application(NOT_A_NUMBER, "this is not a number"))
}

/// Asks the client that called for its name, over the same connection.
async fn greet(request: Request) -> Result<Response, Error> {
    let peer = request
        .connection()
        .and_then(|connection| connection.get::<Peer>());
    let peer = peer.expect("a request that came in has a peer").clone();
    let answer = peer.oneshot(Request::new("name", Body::empty())).await;
    // This handler ran, whatever the error says of the call inside of it.
    let name = answer.map_err(Error::executed)?.into_body();
    let greeting = [b"hello, ", &name.as_bytes()[..]].concat();
    Ok(Response::new(greeting.into()))
}
