//! A router behind a connection: what handlers are given, what callers are told, where handlers run, and what
//! is refused before.

#[path = "../support/mod.rs"]
mod support;

mod allocations;
mod answers;
mod arguments;
mod building;
mod layers;
mod order;
mod policies;

use serde::{Serialize, de::DeserializeOwned};
use steeple::{
    Address, Channel, Connector, Encoding, Error, Options, Request, RpcService,
    codec::{Arena, Codec, Json, decode, encode},
    conn::Builder,
    transport::mem::MemStream,
    wire::Role,
};
use tower::Service;

use self::support::soon;

/// A client of this service.
fn client<S>(service: S) -> Channel
where
    S: RpcService + Send + 'static,
{
    client_of(Options::new(), service)
}

/// The same, of a server with these options.
fn client_of<S>(options: Options, service: S) -> Channel
where
    S: RpcService + Send + 'static,
{
    let (near, far) = MemStream::pair(64 * 1024);
    let (_, server) = Builder::new(Role::Acceptor)
        .options(options)
        .address(Address::Other("client".into()))
        .extension("of the connection")
        .build(far, service);
    tokio::spawn(server);
    Connector::new().connect_io(near, None)
}

/// A request with a value in JSON.
fn request<A: Serialize + 'static>(method: &'static str, args: A) -> Request {
    let body = encode(&Json, &args, &mut Arena::new()).unwrap();
    let mut request = Request::new(method, body);
    request.set_encoding(Json.encoding());
    request
}

/// The value that is answered to one.
async fn ask<A, R>(channel: &Channel, method: &'static str, args: A) -> Result<R, Error>
where
    A: Serialize + 'static,
    R: DeserializeOwned + 'static,
{
    send(channel, request(method, args)).await
}

async fn send<R>(channel: &Channel, request: Request) -> Result<R, Error>
where
    R: DeserializeOwned + 'static,
{
    let response = soon(channel.clone().call(request)).await?;
    decode(&Json, response.body())
}

/// The error that is answered to a value in JSON.
async fn refusal<A: Serialize + 'static>(
    channel: &Channel,
    method: &'static str,
    args: A,
) -> Error {
    soon(channel.clone().call(request(method, args)))
        .await
        .unwrap_err()
}

/// That the connection still answers.
async fn is_alive(channel: &Channel) {
    let error = refusal(channel, "no such method", ()).await;
    assert_eq!(error.kind(), steeple::Kind::Unimplemented);
}

/// As a request of bytes that is answered by bytes.
fn raw(method: &'static str, body: &'static str) -> Request {
    let mut request = Request::new(method, body.into());
    request.set_encoding(Encoding::RAW);
    request
}
