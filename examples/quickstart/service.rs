//! What the two sides serve: a function from a request to a response or an error.

use std::time::Duration;

use serde::Serialize;
use steeple::{
    Error, ErrorExt, Kind, Peer, Request, Response,
    codec::{Arena, decode, encode},
};

use crate::{
    api::{CODEC, DIVISION_BY_ZERO, Division},
    client::Client,
};

/// The server's methods.
pub(crate) async fn handle(request: Request) -> Result<Response, Error> {
    match request.method().as_str() {
        // What came goes back; nobody has to know what it means.
        "echo" => Ok(Response::new(request.into_body())),
        "divide" => divide(request),
        "nap" => nap(request).await,
        "greet" => greet(request).await,
        other => Err(Error::new(
            Kind::Unimplemented,
            format!("there is no {other:?}"),
        )),
    }
}

/// The client's one method.
pub(crate) async fn handle_of_the_client(_: Request) -> Result<Response, Error> {
    respond(&"quickstart")
}

/// A computation. An application error is an answer like any other, with a code and details of one's own.
fn divide(request: Request) -> Result<Response, Error> {
    let division: Division = decode(&CODEC, request.body())?;
    match division.dividend.checked_div(division.divisor) {
        Some(quotient) => respond(&quotient),
        None => Err(Error::application(DIVISION_BY_ZERO, "division by zero")
            .encode_details(&CODEC, &division)?),
    }
}

/// A method that is slow. When its caller gives up, it is dropped where it waits.
async fn nap(request: Request) -> Result<Response, Error> {
    let length: Duration = decode(&CODEC, request.body())?;
    tokio::time::sleep(length).await;
    respond(&length)
}

/// Asks the client that called for its name, over the same connection.
async fn greet(request: Request) -> Result<Response, Error> {
    let peer = Peer::of(&request).expect("a request that came in has a peer");
    let name: Result<String, _> = Client::new(peer.clone()).call("name", &()).await;
    // This handler ran, whatever the error says of the call inside of it.
    respond(&format!("hello, {}", name.map_err(Error::executed)?))
}

fn respond<T: Serialize + 'static>(value: &T) -> Result<Response, Error> {
    Ok(Response::new(encode(&CODEC, value, &mut Arena::new())?))
}
