//! tonic with its default settings: one HTTP/2 connection per `Channel`, prost messages.
//!
//! What `tonic-build` would generate from a `.proto` is written out here, so that nobody needs protoc. Two limits are
//! raised, to what the workloads need: the longest message, and the window of a connection.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::client;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{self, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::{Caller, Handler, MAX_BODY, Peer};
use crate::Error;
use crate::order::Order;
use crate::workload::{Format, Over};

/// The name and number of a field in front of its bytes.
const ENVELOPE: usize = 1024;
/// h2 takes many small DATA frames for an attack, and ends the connection once those not yet read weigh half of this
/// window. With the default of 1 MiB that happens at about 2800 calls at once.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// The one of its compressions that makes small messages smallest.
const COMPRESSION: CompressionEncoding = CompressionEncoding::Zstd;
const ECHO: PathAndQuery = PathAndQuery::from_static("/peers.Echo/Echo");
const EXCHANGE: PathAndQuery = PathAndQuery::from_static("/peers.Echo/Exchange");

/// The peer `tonic`.
#[derive(Debug)]
pub(crate) struct Tonic;

/// `message Echoed { bytes body = 1; }`
#[derive(Clone, PartialEq, prost::Message)]
struct Echoed {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
}

impl Peer for Tonic {
    type Caller = EchoClient;

    async fn serve(listener: TcpListener, handler: Handler, _: Over) -> io::Result<()> {
        tonic::transport::Server::builder()
            .initial_connection_window_size(CONNECTION_WINDOW)
            .add_service(EchoServer(handler))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
            .await
            .map_err(io::Error::other)
    }

    async fn connect(addr: SocketAddr, over: Over) -> Result<EchoClient, Error> {
        let channel = Endpoint::from_shared(format!("http://{addr}"))?
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect()
            .await?;
        let grpc = client::Grpc::new(channel).max_decoding_message_size(MAX_BODY + ENVELOPE);
        Ok(EchoClient(match over {
            Over::Zstd => grpc
                .send_compressed(COMPRESSION)
                .accept_compressed(COMPRESSION),
            _ => grpc,
        }))
    }
}

#[derive(Clone)]
pub(crate) struct EchoClient(client::Grpc<Channel>);

impl EchoClient {
    async fn unary<M>(&mut self, path: PathAndQuery, message: M) -> Result<M, Error>
    where
        M: prost::Message + Default + 'static,
    {
        self.0.ready().await?;
        let codec = ProstCodec::<M, M>::default();
        let response = self.0.unary(Request::new(message), path, codec).await?;
        Ok(response.into_inner())
    }
}

impl Caller for EchoClient {
    type Reply = Bytes;

    async fn call(&mut self, payload: &Bytes) -> Result<Bytes, Error> {
        let body = payload.clone();
        Ok(self.unary(ECHO, Echoed { body }).await?.body)
    }

    async fn exchange(&mut self, order: Order, _: Format) -> Result<Order, Error> {
        self.unary(EXCHANGE, order).await
    }
}

#[derive(Clone)]
struct EchoServer(Handler);

impl NamedService for EchoServer {
    const NAME: &'static str = "peers.Echo";
}

impl Service<http::Request<Body>> for EchoServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if *request.uri().path() == *EXCHANGE.path() {
            unary(request, |order: Order| order)
        } else {
            let handler = self.0;
            unary(request, move |Echoed { body }| Echoed {
                body: handler.answer(body),
            })
        }
    }
}

/// What `tonic-build` writes once for each method.
fn unary<M, F>(
    request: http::Request<Body>,
    answer: F,
) -> BoxFuture<http::Response<Body>, Infallible>
where
    M: prost::Message + Default + 'static,
    F: Fn(M) -> M + Send + Sync + 'static,
{
    Box::pin(async move {
        // Answers are compressed only for a client that says it accepts that.
        let mut grpc = server::Grpc::new(ProstCodec::<M, M>::default())
            .max_decoding_message_size(MAX_BODY + ENVELOPE)
            .accept_compressed(COMPRESSION)
            .send_compressed(COMPRESSION);
        Ok(grpc.unary(Method(answer), request).await)
    })
}

struct Method<F>(F);

impl<M, F> UnaryService<M> for Method<F>
where
    M: prost::Message + 'static,
    F: Fn(M) -> M,
{
    type Response = M;
    type Future = BoxFuture<Response<M>, Status>;

    fn call(&mut self, request: Request<M>) -> Self::Future {
        let answer = (self.0)(request.into_inner());
        Box::pin(ready(Ok(Response::new(answer))))
    }
}
