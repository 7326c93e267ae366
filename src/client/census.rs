//! What the connections of a client have counted together.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::Channel;
use crate::{Endpoint, Stats, conn::Witness};

/// The connections that there are, and what those counted that are no more. A cheap `Clone`.
#[derive(Clone, Debug, Default)]
pub(super) struct Census(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Those that somebody still has, and those that have ended since the last look.
    connections: Vec<Witness>,
    past: Stats,
}

/// A connector whose connections are counted.
#[derive(Clone, Debug)]
pub(super) struct Counted<K> {
    connector: K,
    census: Census,
}

pin_project! {
    /// A connection that is being made, and counted.
    pub(super) struct Counting<F> {
        #[pin]
        dial: F,
        census: Census,
    }
}

impl Census {
    /// Counts a dial, and from now on what its connection counts.
    pub(super) fn dialled<E>(&self, dialled: &Result<Channel, E>) {
        match dialled {
            Ok(channel) => {
                self.lock().past.dials += 1;
                self.enter(channel);
            }
            Err(_) => self.lock().past.dial_errors += 1,
        }
    }

    /// Counts from now on what a connection counts.
    pub(super) fn enter(&self, channel: &Channel) {
        let connection = Witness::new(channel.peer());
        let mut inner = self.lock();
        inner.sweep();
        inner.connections.push(connection);
    }

    /// The sum of all.
    pub(super) fn stats(&self) -> Stats {
        let mut inner = self.lock();
        inner.sweep();
        let mut stats = inner.past;
        for connection in &inner.connections {
            stats += connection.stats();
        }
        stats
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Lets go of the connections that are over and whose numbers change no more.
    fn sweep(&mut self) {
        let past = &mut self.past;
        self.connections.retain(|connection| {
            let ended = connection.final_stats();
            *past += ended.unwrap_or_default();
            ended.is_none()
        });
    }
}

impl<K> Counted<K> {
    pub(super) fn new(connector: K, census: Census) -> Self {
        Self { connector, census }
    }
}

impl<K> Service<Endpoint> for Counted<K>
where
    K: Service<Endpoint, Response = Channel>,
{
    type Response = Channel;
    type Error = K::Error;
    type Future = Counting<K::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), K::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, endpoint: Endpoint) -> Counting<K::Future> {
        Counting {
            dial: self.connector.call(endpoint),
            census: self.census.clone(),
        }
    }
}

impl<F, E> Future for Counting<F>
where
    F: Future<Output = Result<Channel, E>>,
{
    type Output = Result<Channel, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        let dialled = ready!(me.dial.poll(cx));
        me.census.dialled(&dialled);
        Poll::Ready(dialled)
    }
}

#[cfg(all(test, feature = "test"))]
mod tests {
    use std::time::Duration;

    use crate::{
        Client, Connector,
        transport::{Listener, mem::MemNetwork},
    };

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_connected_a_thousand_times_keeps_none_of_these_connections() {
        let network = MemNetwork::new(1);
        let mut listener = network.listen("a").unwrap();
        tokio::spawn(async move {
            loop {
                // It hangs up on whoever comes.
                drop(listener.accept().await);
            }
        });
        let connector = Connector::new().dialer(network.dialer("client"));
        let builder = Client::builder().connector(connector.clone());
        let client = builder.timeout(None).connect_lazy("mem://a").unwrap();
        let mut caller = client.clone();
        tokio::spawn(async move { caller.call::<()>("m", "").await });
        let dials = || connector.census.lock().past.dials;
        while dials() < 1000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(client.stats().dials, dials());
        // It was swept before the last dial, when there was the one before.
        let kept = connector.census.lock().connections.len();
        assert!(kept <= 2, "{kept} connections are kept");
    }
}
