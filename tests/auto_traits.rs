//! What may go to another thread, or be polled where it lies: a promise that a private field can break.

use std::rc::Rc;

use steeple::{
    Batch, Body, Channel, Client, Connection, Connector, DefaultStack, Endpoint, Error, Item,
    Metadata, Options, Peer, Request, Response, ResponseFuture, Router, Server, ServerHandle,
    Started,
    client::{Call, ClientBuilder, Connecting, DefaultFuture, Run},
    codec::DefaultCodec,
    conn::{Builder, Unserved},
    router::{Route, RouteFuture, RouteService},
    transport::{
        Compressed, Compression, Dialing, Handshake, NetDialer, NetListener, NetStream,
        PeerCertificate, Refused, TcpDialer, TcpListener, TlsClient, TlsIdentity, TlsListener,
        TlsServer, mem::MemStream,
    },
};
use tokio::net::TcpStream;
use tower::{ServiceExt, util::BoxCloneService};

fn send<T: Send + Unpin + 'static>() {}
fn send_sync<T: Send + Sync + Unpin + 'static>() {}

#[test]
fn what_is_public_goes_to_any_thread() {
    send_sync::<Batch>();
    send_sync::<Body>();
    send_sync::<Channel>();
    send_sync::<Client>();
    send_sync::<ClientBuilder>();
    send_sync::<Connection<TcpStream, Unserved>>();
    send_sync::<Connector>();
    send_sync::<DefaultStack>();
    send_sync::<Builder>();
    send_sync::<Endpoint>();
    send_sync::<Error>();
    send_sync::<Item<Rc<()>>>();
    send_sync::<Metadata>();
    send_sync::<Options>();
    send_sync::<Peer>();
    send_sync::<Request>();
    send_sync::<Response>();
    send_sync::<ResponseFuture>();
    send_sync::<Route<String>>();
    send_sync::<RouteService>();
    send_sync::<Router>();
    send_sync::<ServerHandle>();
    send_sync::<Started<Rc<()>>>();
    send_sync::<TcpDialer>();
    send_sync::<TcpListener>();
    send_sync::<Compressed<TcpStream>>();
    send_sync::<Compression>();
    send_sync::<NetDialer>();
    send_sync::<NetListener>();
    send_sync::<NetStream>();
    send_sync::<PeerCertificate>();
    send_sync::<Refused>();
    send_sync::<TlsClient>();
    send_sync::<TlsIdentity>();
    send_sync::<TlsListener>();
    send_sync::<TlsServer>();
    send::<Handshake<TcpStream>>();
    send::<Call<'static, i32, DefaultStack, DefaultCodec>>();
    send::<Run<Channel>>();
    send::<Server>();
    send::<Connecting>();
    send::<DefaultFuture>();
    send::<RouteFuture>();
    send::<Dialing<TcpStream>>();
}

/// tower's boxed services are not `Sync`, and are what a stack with a name often is.
type Boxed = BoxCloneService<Request, Response, Error>;

#[test]
fn a_batch_is_shared_by_tasks_though_its_service_is_not() {
    send_sync::<Batch<Boxed>>();
}

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
        of_send(Client::builder().connect("tcp://127.0.0.1:1"));
        of_send(server.serve(boxed));
    }
    let _compiles = serves_a_boxed_service;
}
