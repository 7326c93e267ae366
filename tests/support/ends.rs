//! The library's side of a connection whose other side is played by hand.

use std::ops::Deref;

use steeple::{
    Body, Channel, Connector, Error, Options, Peer, Request, Response,
    conn::Builder,
    transport::mem::MemStream,
    wire::{Role, native::Native},
};
use tokio::task::JoinHandle;
use tower::Service;

use super::{peer::RawPeer, services::echo, soon};

/// The side that accepted: what it calls the other, and its task.
pub(crate) struct Near {
    pub(crate) peer: Peer,
    pub(crate) task: JoinHandle<Result<(), Error>>,
}

/// Bytes in flight each way.
const CAPACITY: usize = 64 * 1024;

/// A server of this service, and the client's end.
pub(crate) fn serve<S>(options: Options, service: S) -> (RawPeer, Near)
where
    S: Service<Request, Response = Response> + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
    serve_with(options, Native::default(), CAPACITY, service)
}

/// The same, with a wire and pipes of one's own.
pub(crate) fn serve_with<S>(
    options: Options,
    wire: Native,
    capacity: usize,
    service: S,
) -> (RawPeer, Near)
where
    S: Service<Request, Response = Response> + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
    let (far, near) = MemStream::pair(capacity);
    let (peer, connection) = Builder::new(Role::Acceptor)
        .wire(wire)
        .options(options)
        .build(near, service);
    let task = tokio::spawn(connection);
    (RawPeer::new(far), Near { peer, task })
}

/// A client that serves echoes, and the server's end.
pub(crate) fn dial(options: Options) -> (Channel, RawPeer) {
    dial_with(options, Native::default(), CAPACITY)
}

/// The same, with a wire and pipes of one's own.
pub(crate) fn dial_with(options: Options, wire: Native, capacity: usize) -> (Channel, RawPeer) {
    let (near, far) = MemStream::pair(capacity);
    let connector = Connector::new().wire(wire).options(options).serve(echo());
    (connector.connect_io(near, None), RawPeer::new(far))
}

/// A request of a raw body.
pub(crate) fn call(method: &'static str, body: impl Into<Vec<u8>>) -> Request {
    Request::new(method, Body::from(body.into()))
}

impl Near {
    /// How the connection ended.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        soon(self.task)
            .await
            .expect("the connection does not panic")
    }
}

impl Deref for Near {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}
