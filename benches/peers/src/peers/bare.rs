//! steeple without layers: a `Channel`, and a service that is one function.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use steeple::codec::{Arena, Codec, decode, encode};
use steeple::{Body, Channel, Client, Error as CallError, Kind, Request, Response};
use tokio::net::TcpListener;
use tower::{Service, service_fn};

use super::over::{self, Stack};
use super::steeple::batch;
use super::{Caller, Handler, Peer};
use crate::Error;
use crate::order::Order;
use crate::workload::{Format, Over};

/// The peer `bare`.
#[derive(Debug)]
pub(crate) struct Bare;

impl Peer for Bare {
    type Caller = Connection;

    async fn serve(listener: TcpListener, handler: Handler, over: Over) -> io::Result<()> {
        let mut arena = Arena::new();
        let service = service_fn(move |request: Request| {
            std::future::ready(answer(handler, request.into_body(), &mut arena).map(Response::new))
        });
        over::serve(listener, over, service, Stack::None).await
    }

    async fn connect(addr: SocketAddr, over: Over) -> Result<Connection, Error> {
        Ok(Connection {
            channel: over::channel(addr, over).await?,
            arena: Arena::new(),
        })
    }
}

fn answer(handler: Handler, body: Body, arena: &mut Arena) -> Result<Body, CallError> {
    if let Handler::Exchange(format) = handler
        && let Some(codec) = format.codec()
    {
        let order: Order = decode(&codec, &body)?;
        return encode(&codec, &order, arena);
    }
    Ok(handler.answer(body.into_bytes()).into())
}

/// A clone of the one channel, and where it encodes.
#[derive(Clone)]
pub(crate) struct Connection {
    channel: Channel,
    arena: Arena,
}

impl Caller for Connection {
    type Reply = Bytes;

    async fn call(&mut self, payload: &Bytes) -> Result<Bytes, Error> {
        let request = Request::new("Echo", Body::from(payload.clone()));
        let response = self.channel.call(request).await?;
        Ok(response.into_body().into_bytes())
    }

    async fn notify(&mut self, payload: &Bytes) -> Result<bool, Error> {
        let request = Request::new("Note", Body::from(payload.clone()));
        match self.channel.notify(request) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Overflow => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn exchange(&mut self, order: Order, format: Format) -> Result<Order, Error> {
        let codec = format.codec().ok_or("no codec of steeple")?;
        let body = encode(&codec, &order, &mut self.arena)?;
        let mut request = Request::new("Exchange", body);
        request.set_encoding(codec.encoding());
        let response = self.channel.call(request).await?;
        Ok(decode(&codec, response.body())?)
    }

    async fn batch(&mut self, payload: &Bytes, count: usize) -> Result<(), Error> {
        let calls = Client::new(self.channel.clone()).batch();
        batch(&calls, payload, count).await
    }
}
