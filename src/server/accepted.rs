//! A client that has come, and a service for it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll, Waker},
};

use tower_service::Service;

use crate::{Address, Error, Extensions, Kind, Peer, conn::RpcService};

/// A client that was accepted and has said nothing yet: what a service of its own is made for, by
/// [`serve_with`](super::Server::serve_with).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The client as something to call, and to keep [values](Peer::values) with. What is called before it has a
    /// service waits until then, and fails if it gets none.
    pub peer: Peer,
    /// What the transport calls the client.
    pub address: Address,
    /// Where the client came in.
    pub listener: Address,
    /// What was found out about the client before its first frame: with TLS, its certificate.
    pub extensions: Extensions,
}

/// Gives each connection a clone of one service: the one that came with the connection's own clone of this.
#[derive(Clone, Debug)]
pub(super) struct Clones<S>(Option<S>);

impl<S: RpcService + Clone> Clones<S> {
    /// # Panics
    /// If the service says that it implements nothing.
    pub(super) fn new(service: S) -> Self {
        assert_serves(&service);
        Self(Some(service))
    }
}

/// Panics if a service says before any call that it is [unimplemented](Kind::Unimplemented), as a router without a route
/// does, also under layers. What else its readiness fails of may pass.
#[track_caller]
pub(super) fn assert_serves<S: RpcService + Clone>(service: &S) {
    let ready = service
        .clone()
        .poll_ready(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(Err(error)) = ready {
        let error: Error = error.into();
        let is_empty = error.kind() == Kind::Unimplemented;
        assert!(!is_empty, "this service cannot be served: {error}");
    }
}

impl<S> Service<Accepted> for Clones<S> {
    type Response = S;
    type Error = Infallible;
    type Future = Ready<Result<S, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Accepted) -> Self::Future {
        let service = self.0.take();
        ready(Ok(service.expect("each clone is called once")))
    }
}
