//! tarpc as its README uses it: its TCP transport with bincode, and a spawn per request.
//!
//! Nagle is off, as for everybody here, and limits are raised to what the workloads need: the longest frame, and the
//! calls at once. With the default room for 100 and 1000 of those, C and D would measure how callers wait for it.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tarpc::serde_transport::{self, Transport};
use tarpc::server::{self, BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tarpc::{client, context};
use tokio::net::{TcpListener, TcpStream};

use super::{Caller, Handler, MAX_BODY, Peer};
use crate::Error;
use crate::order::Order;
use crate::workload::{Format, Over};

/// What surrounds a body in a frame.
const ENVELOPE: usize = 1024;

/// More calls than any workload has at once on a connection.
const ROOM: usize = 65_536;

/// The peer `tarpc`.
#[derive(Debug)]
pub(crate) struct Tarpc;

#[tarpc::service]
pub(crate) trait Echo {
    async fn echo(body: Bytes) -> Bytes;
    async fn exchange(order: Order) -> Order;
}

#[derive(Clone)]
struct Server(Handler);

impl Echo for Server {
    async fn echo(self, _: context::Context, body: Bytes) -> Bytes {
        self.0.answer(body)
    }

    async fn exchange(self, _: context::Context, order: Order) -> Order {
        order
    }
}

impl Peer for Tarpc {
    type Caller = EchoClient;

    async fn serve(listener: TcpListener, handler: Handler, _: Over) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            let config = server::Config {
                pending_response_buffer: ROOM,
            };
            let channel = BaseChannel::new(config, transport(stream)?);
            let requests = channel.execute(Server(handler).serve());
            tokio::spawn(requests.for_each(|request| async move {
                tokio::spawn(request);
            }));
        }
    }

    async fn connect(addr: SocketAddr, _: Over) -> Result<EchoClient, Error> {
        let stream = TcpStream::connect(addr).await?;
        let mut config = client::Config::default();
        config.max_in_flight_requests = ROOM;
        config.pending_request_buffer = ROOM;
        Ok(EchoClient::new(config, transport(stream)?).spawn())
    }
}

impl Caller for EchoClient {
    type Reply = Bytes;

    async fn call(&mut self, payload: &Bytes) -> Result<Bytes, Error> {
        Ok(EchoClient::echo(self, context::current(), payload.clone()).await?)
    }

    async fn exchange(&mut self, order: Order, _: Format) -> Result<Order, Error> {
        Ok(EchoClient::exchange(self, context::current(), order).await?)
    }
}

type Wire<Item, SinkItem> = Transport<TcpStream, Item, SinkItem, Bincode<Item, SinkItem>>;

fn transport<Item, SinkItem>(stream: TcpStream) -> io::Result<Wire<Item, SinkItem>>
where
    Item: for<'de> Deserialize<'de>,
    SinkItem: Serialize,
{
    stream.set_nodelay(true)?;
    let mut frames = LengthDelimitedCodec::new();
    frames.set_max_frame_length(MAX_BODY + ENVELOPE);
    Ok(serde_transport::new(
        Framed::new(stream, frames),
        Bincode::default(),
    ))
}
