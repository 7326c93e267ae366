//! A server behind a transport, and ways to it.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use steeple::{
    Channel, Connector, Endpoint, Error, Server, ServerHandle,
    transport::{Dial, Io, Listener, Open},
};
use tower::ServiceExt;

use crate::support::{Probe, echo};

/// Who waits for this long, hangs.
const LONG: Duration = Duration::from_secs(60);

/// A server of a [`Probe`]'s service on some transport.
pub(crate) struct World {
    pub(crate) server: ServerHandle,
    pub(crate) probe: Probe,
    endpoint: Endpoint,
    connect: Arc<dyn Fn(Endpoint) -> BoxFuture<'static, Result<Channel, Error>> + Send + Sync>,
    raw: Arc<dyn Fn() -> BoxFuture<'static, Box<dyn Io>> + Send + Sync>,
    /// What has to last as long as the world.
    _kept: Box<dyn std::any::Any + Send>,
}

impl World {
    pub(crate) fn new<L, D>(listener: L, dialer: D) -> Self
    where
        L: Listener,
        D: Dial + Clone + Sync,
    {
        let address = listener.local_address();
        let endpoint = Endpoint::try_from(&address).unwrap();
        Self::at(endpoint, listener, dialer, ())
    }

    pub(crate) fn at<L, D>(
        endpoint: Endpoint,
        listener: L,
        dialer: D,
        kept: impl Send + 'static,
    ) -> Self
    where
        L: Listener,
        D: Dial + Clone + Sync,
    {
        let probe = Probe::default();
        let server = Server::new(listener);
        let handle = server.handle();
        tokio::spawn(server.serve(probe.service()));
        let connector = Connector::new().dialer(dialer.clone()).serve(echo());
        let to = endpoint.clone();
        Self {
            server: handle,
            probe,
            endpoint,
            connect: Arc::new(move |endpoint| connector.connect(endpoint).boxed()),
            raw: Arc::new(move || raw(dialer.clone(), to.clone()).boxed()),
            _kept: Box::new(kept),
        }
    }

    pub(crate) async fn connect(&self) -> Channel {
        self.connect_to(self.endpoint.clone()).await
    }

    /// The same way to somebody in between.
    pub(crate) async fn connect_to(&self, endpoint: Endpoint) -> Channel {
        soon((self.connect)(endpoint)).await.unwrap()
    }

    /// What is dialled.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where the server listens, if that is a port of TCP.
    pub(crate) fn port(&self) -> (String, u16) {
        (
            self.endpoint.host().to_owned(),
            self.endpoint.port().unwrap(),
        )
    }

    /// A stream to the server on which nothing was said but by the transport.
    pub(crate) async fn raw(&self) -> Box<dyn Io> {
        soon((self.raw)()).await
    }
}

async fn raw<D: Dial>(dialer: D, endpoint: Endpoint) -> Box<dyn Io> {
    let dialled = dialer.oneshot(endpoint.clone()).await;
    let (stream, address) = dialled.map_err(Into::into).unwrap();
    Box::new(stream.open(address, Some(endpoint)).await.unwrap().io)
}

/// The output of something that must not hang.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(LONG, what.into_future())
        .await
        .expect("this hangs")
}

/// An error with all its causes, in one line.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text += &format!(": {source}");
        next = source.source();
    }
    text
}
