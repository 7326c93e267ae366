//! The paved road: a `Client` with its default stack, and a `Router` with a function as its handler.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use steeple::codec::AnyCodec;
use steeple::router::Reply;
use steeple::{Batch, Client, DefaultStack, Kind, Router, RpcService};
use tokio::net::TcpListener;

use super::handler::{count, receipt};
use super::over::{self, Stack};
use super::{Caller, Handler, Peer};
use crate::Error;
use crate::order::Order;
use crate::workload::{Format, Over};

/// The one method.
const CALL: &str = "Call";

/// The peer `steeple`.
#[derive(Debug)]
pub(crate) struct Steeple;

impl Peer for Steeple {
    type Caller = Connection;

    async fn serve(listener: TcpListener, handler: Handler, over: Over) -> io::Result<()> {
        let router: Router = Router::new();
        let router = match handler {
            Handler::Echo => router.route(CALL, async |body: Bytes| body),
            Handler::Receipt => router.route(CALL, async |body: Bytes| receipt(&body)),
            Handler::Count => router.route(CALL, async |_: Bytes| count()),
            Handler::Exchange(_) => router.route(CALL, async |order: Order| Reply(order)),
        };
        over::serve(listener, over, router, Stack::Default).await
    }

    async fn connect(addr: SocketAddr, over: Over) -> Result<Connection, Error> {
        Ok(Connection {
            client: over::client(addr, over).await?,
            typed: None,
        })
    }
}

/// A clone of the client.
#[derive(Clone)]
pub(crate) struct Connection {
    client: Client,
    /// The same, with the codec of the workload. Apart, so that it takes no room in callers without one.
    typed: Option<Box<Client<DefaultStack, AnyCodec>>>,
}

impl Caller for Connection {
    type Reply = Bytes;

    async fn call(&mut self, payload: &Bytes) -> Result<Bytes, Error> {
        Ok(self.client.call(CALL, payload.clone()).await?)
    }

    async fn notify(&mut self, payload: &Bytes) -> Result<bool, Error> {
        match self.client.notify(CALL, payload.clone()).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Overflow => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn exchange(&mut self, order: Order, format: Format) -> Result<Order, Error> {
        let codec = format.codec().ok_or("no codec of steeple")?;
        let client = &self.client;
        let typed = self
            .typed
            .get_or_insert_with(|| Box::new(client.clone().codec(codec)));
        Ok(typed.call(CALL, &order).await?)
    }

    async fn batch(&mut self, payload: &Bytes, count: usize) -> Result<(), Error> {
        batch(&self.client.batch(), payload, count).await
    }
}

/// Makes `count` calls that leave together, over whatever the batch is of.
pub(super) async fn batch<S>(batch: &Batch<S>, payload: &Bytes, count: usize) -> Result<(), Error>
where
    S: RpcService + Clone + Send + 'static,
{
    let calls = (0..count).map(|_| batch.call::<Bytes>(CALL, payload.clone()));
    let items = calls.collect::<Result<Vec<_>, _>>()?;
    batch.run().await?;
    for item in items {
        if item.take()?.len() != payload.len() {
            return Err("not an echo".into());
        }
    }
    Ok(())
}
