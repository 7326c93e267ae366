//! What may go to another thread, or be polled where it lies: a promise that a private field can break.

use steeple::{
    Body, Channel, Connection, Connector, Endpoint, Error, Metadata, Options, Peer, Request,
    Response, ResponseFuture, Router, Server, ServerHandle,
    client::Connecting,
    conn::{Builder, Unserved},
    router::{Route, RouteFuture, RouteService},
    transport::{Dialing, TcpDialer, TcpListener, mem::MemStream},
};
use tokio::net::TcpStream;
use tower::{ServiceExt, util::BoxCloneService};

fn send<T: Send + Unpin + 'static>() {}
fn send_sync<T: Send + Sync + Unpin + 'static>() {}

#[test]
fn what_is_public_goes_to_any_thread() {
    send_sync::<Body>();
    send_sync::<Channel>();
    send_sync::<Connection<TcpStream, Unserved>>();
    send_sync::<Connector>();
    send_sync::<Builder>();
    send_sync::<Endpoint>();
    send_sync::<Error>();
    send_sync::<Metadata>();
    send_sync::<Options>();
    send_sync::<Peer>();
    send_sync::<Request>();
    send_sync::<Response>();
    send_sync::<ResponseFuture>();
    send_sync::<Route<String>>();
    send_sync::<RouteService>();
    send_sync::<Router>();
    send_sync::<Server>();
    send_sync::<ServerHandle>();
    send_sync::<TcpDialer>();
    send_sync::<TcpListener>();
    send::<Connecting>();
    send::<RouteFuture>();
    send::<Dialing<TcpStream>>();
}

/// tower's boxed services are not `Sync`, and are what a stack with a name often is.
type Boxed = BoxCloneService<Request, Response, Error>;

#[test]
fn a_service_need_not_be_sync_to_be_served_by_a_client_or_a_server() {
    fn of_send(_: impl Send) {}

    send::<Connection<MemStream, Boxed>>();
    fn serves_a_boxed_service(
        connector: Connector<TcpDialer, Boxed>,
        server: Server,
        boxed: Boxed,
    ) {
        of_send(connector.connect("tcp://127.0.0.1:1"));
        of_send(connector.oneshot("tcp://127.0.0.1:1".parse().unwrap()));
        of_send(server.serve(boxed));
    }
    let _compiles = serves_a_boxed_service;
}
