//! steeple without layers: a `Channel`, and a service that is one function.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use steeple::transport::TcpListener as Listener;
use steeple::{Body, Channel, Error as CallError, Request, Response, Server};
use tokio::net::TcpListener;
use tower::{Service, service_fn};

use super::{Caller, Handler, Peer};
use crate::Error;

/// The peer `bare`.
#[derive(Debug)]
pub(crate) struct Bare;

impl Peer for Bare {
    type Caller = Channel;

    async fn serve(listener: TcpListener, handler: Handler) -> io::Result<()> {
        let service = service_fn(move |request: Request| {
            let body = handler.answer(request.into_body().into_bytes());
            std::future::ready(Ok::<_, CallError>(Response::new(body.into())))
        });
        Server::new(Listener::from_tokio(listener)?)
            .serve(service)
            .await;
        Ok(())
    }

    async fn connect(addr: SocketAddr) -> Result<Channel, Error> {
        Ok(Channel::connect(addr).await?)
    }
}

impl Caller for Channel {
    type Reply = Bytes;

    async fn call(&mut self, payload: &Bytes) -> Result<Bytes, Error> {
        let request = Request::new("Echo", Body::from(payload.clone()));
        let response = Service::call(self, request).await?;
        Ok(response.into_body().into_bytes())
    }
}
