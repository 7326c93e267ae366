//! What may go to another thread, or be polled where it lies: a promise that a private field can break.

use std::rc::Rc;

use bytes::Bytes;
use steeple::{
    Address, Batch, Body, BoxError, Channel, Client, Connection, Connector, Context, DefaultStack,
    Endpoint, Error, Extensions, Item, Metadata, Method, Options, Peer, Request, Response,
    ResponseFuture, Router, RpcService, Server, ServerHandle, Started, Stats,
    client::{Call, ClientBuilder, Connecting, DefaultFuture, Endpoints, Run},
    codec::{AnyCodec, Arena, DefaultCodec},
    conn::{Builder, OneByOne, Quota, Unserved, Values},
    layers::{
        CatchPanicLayer, CompressionLayer, FaultLayer, InheritLayer, LogLayer, PropagateTraceLayer,
        RetryLayer, RetryPolicy, TimeoutLayer, TraceLayer, TransformLayer, replicas::Replica,
    },
    router::{Route, RouteFuture, RouteService},
    server::Accepted,
    transport::{
        Compressed, Compression, Dialing, Handshake, Incoming, InvalidEndpoint, NetDialer,
        NetListener, NetStream, Opened, PeerCertificate, Refused, TcpDialer, TcpListener,
        TcpOptions, TlsClient, TlsIdentity, TlsListener, TlsServer, Wrapped,
        framed::NativeCodec,
        mem::{MemDialer, MemListener, MemNetwork, MemStream},
    },
};
use tokio::net::TcpStream;
use tower::{Layer, Service, ServiceExt, util::BoxCloneService};

fn send<T: Send + Unpin + 'static>() {}
fn send_sync<T: Send + Sync + Unpin + 'static>() {}

#[test]
fn what_is_public_goes_to_any_thread() {
    send_sync::<Accepted>();
    send_sync::<Address>();
    send_sync::<AnyCodec>();
    send_sync::<Arena>();
    send_sync::<Batch>();
    send_sync::<Body>();
    send_sync::<Channel>();
    send_sync::<Client>();
    send_sync::<ClientBuilder>();
    send_sync::<Connection<TcpStream, Unserved>>();
    send_sync::<Connector>();
    send_sync::<DefaultStack>();
    send_sync::<Builder>();
    send_sync::<Context>();
    send_sync::<Endpoints>();
    send_sync::<Extensions>();
    send_sync::<InvalidEndpoint>();
    send_sync::<Method>();
    send_sync::<OneByOne<TcpStream>>();
    send_sync::<Quota>();
    send_sync::<Replica<Channel>>();
    send_sync::<Stats>();
    send_sync::<TcpOptions>();
    send_sync::<Values>();
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
    send_sync::<Incoming<futures_util::stream::Empty<()>>>();
    send_sync::<MemDialer>();
    send_sync::<MemListener>();
    send_sync::<MemNetwork>();
    send_sync::<MemStream>();
    send_sync::<NativeCodec>();
    send_sync::<Opened<TcpStream>>();
    send_sync::<Wrapped<NetListener, Compression>>();
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

/// The future of a call through a layer is spawned like that of the service itself.
#[test]
fn the_futures_of_layers_go_to_any_thread() {
    fn of<L: Layer<Channel>>(_: L)
    where
        L::Service: Service<Request, Future: Send + 'static> + Clone + Send + Sync + 'static,
    {
    }
    fn as_it_is(body: Bytes) -> Result<Bytes, BoxError> {
        Ok(body)
    }

    of(CatchPanicLayer::new());
    of(CompressionLayer::lz4());
    of(FaultLayer::new(7));
    of(InheritLayer::new());
    of(LogLayer::new());
    of(PropagateTraceLayer::new());
    of(RetryLayer::new(RetryPolicy::new()));
    of(TimeoutLayer::without_default());
    of(TraceLayer::new());
    of(TransformLayer::client(as_it_is, as_it_is));
    fn serves<S: RpcService<Future: Send + 'static>>() {}
    serves::<Replica<Channel>>();
}

#[cfg(unix)]
#[test]
fn unix_sockets_go_to_any_thread() {
    use steeple::transport::{UnixDialer, UnixListener};

    send_sync::<UnixDialer>();
    send_sync::<UnixListener>();
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
