//! One connection of an endpoint: dialled, kept, let go of, and dialled again.

use std::{
    error::Error as _,
    future::{pending, poll_fn},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    HealthCheck, Member, Probe, State,
    caught::caught,
    shared::{Shared, Wish},
    snapshot,
};
use crate::{BoxError, Error, Kind, Lifecycle, Origin};

/// What keeps a connection.
pub(super) struct Link<T, C, L, S, H> {
    pub(super) number: usize,
    pub(super) target: T,
    pub(super) member: Member,
    pub(super) connector: C,
    pub(super) layer: L,
    pub(super) check: Option<HealthCheck<H>>,
    pub(super) shared: Arc<Shared<S>>,
    pub(super) orders: watch::Receiver<Order>,
    /// What the handles want, for connections that are left behind.
    pub(super) wishes: watch::Receiver<Wish>,
}

/// What an endpoint wants of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To be there.
    Run,
    /// To end in order, and perhaps to come again.
    Idle,
    /// To end in order.
    Drain,
    /// To end at once.
    Close,
}

/// Why a connection is not kept.
enum End {
    Ordered,
    /// The other side drains.
    Drained,
    Lost(Error),
}

impl<T, C, L, S, H> Link<T, C, L, S, H>
where
    T: Clone,
    C: Service<T>,
    C::Response: Lifecycle + Clone,
    C::Error: Into<BoxError>,
    L: Layer<C::Response, Service = S>,
    S: Clone,
    H: Probe<C::Response>,
{
    /// Keeps the connection until it is ordered to end.
    pub(super) async fn keep(mut self) {
        let mut failures = 0_u32;
        loop {
            let awaited = self.orders.wait_for(|order| *order != Order::Idle).await;
            if !awaited.is_ok_and(|order| *order == Order::Run) {
                return;
            }
            let dial = connect(
                &mut self.connector,
                self.target.clone(),
                &self.shared,
                &self.member,
            );
            let connected = tokio::select! {
                biased;
                () = other_order(&mut self.orders) => continue,
                connected = caught("the connector panicked", dial) => connected,
            };
            let mut verdict = connected.is_err();
            let error = match connected {
                Ok(endpoint) => {
                    let since = Instant::now();
                    let served = async { Ok(self.serve(&endpoint).await) };
                    let served = caught("the connection, or a layer on it, panicked", served).await;
                    let end = served.unwrap_or_else(End::Lost);
                    // The next dial is near, unless the last ones came to nothing.
                    verdict = failures > 0;
                    // One that was lost right away counts as another failed dial.
                    if since.elapsed() >= self.shared.options.backoff.max() {
                        failures = 0;
                    }
                    let error = self.down(&endpoint, end);
                    leave(endpoint, *self.orders.borrow(), self.wishes.clone());
                    match error {
                        Some(error) => error,
                        None => continue,
                    }
                }
                Err(error) => error,
            };
            let options = &self.shared.options;
            let is_last = options
                .dial_limit
                .is_some_and(|limit| failures >= limit.saturating_sub(1));
            let wait = (!is_last).then(|| options.backoff.wait(failures, fastrand::u64(..)));
            failures = failures.saturating_add(1);
            self.failed(error, wait, verdict);
            tokio::select! {
                biased;
                () = other_order(&mut self.orders) => {}
                () = wait_or_for_ever(wait) => {}
            }
        }
    }

    /// Offers the connection until it ends, drains, falls silent, or is let go of.
    async fn serve(&mut self, endpoint: &C::Response) -> End {
        let (mut orders, ping) = (self.orders.clone(), self.shared.options.ping);
        let drained = async {
            endpoint.draining().await;
            End::Drained
        };
        tokio::select! {
            biased;
            end = self.offer(endpoint) => end,
            () = other_order(&mut orders) => End::Ordered,
            () = endpoint.closed() => End::Lost(lost("the connection was lost")),
            end = drained => end,
            end = silent(endpoint, ping) => end,
        }
    }

    /// Offers the connection, as far as its health check says; does not return.
    async fn offer(&mut self, endpoint: &C::Response) -> End {
        let Some(check) = self.check.clone() else {
            self.up(endpoint, None);
            return pending().await;
        };
        // Not called before it is known whether it can be.
        let first = check.ask(endpoint.clone()).await;
        let mut healthy = first.is_ok();
        self.up(endpoint, first.err().map(unhealthy));
        let mut streak = 0;
        loop {
            sleep(check.pause(fastrand::f64())).await;
            let answer = check.ask(endpoint.clone()).await;
            streak = match answer.is_ok() == healthy {
                true => 0,
                false => streak + 1,
            };
            if streak >= check.patience(healthy) {
                streak = 0;
                healthy = answer.is_ok();
                self.judge(answer.err().map(unhealthy));
            }
        }
    }

    /// Notes why the connection is not healthy, or that it is.
    fn judge(&self, sick: Option<Error>) {
        let (address, link) = (self.member.address(), self.number);
        match &sick {
            Some(error) => {
                tracing::warn!(target: "steeple::replicas", address, link, %error, cause = error.source(), "unhealthy");
            }
            None => tracing::info!(target: "steeple::replicas", address, link, "healthy"),
        }
        self.shared.update(|table| {
            if let Some(entry) = table.entry(&self.member) {
                let mut links = entry.links.iter_mut();
                if let Some(link) = links.find(|link| link.number == self.number) {
                    link.sick = sick;
                    entry.since = Instant::now();
                }
            }
        });
    }

    fn up(&self, endpoint: &C::Response, sick: Option<Error>) {
        let service = self.layer.layer(endpoint.clone());
        let address = self.member.address();
        tracing::info!(target: "steeple::replicas", address, link = self.number, "live");
        self.shared.update(|table| {
            let generation = table.number();
            if let Some(entry) = table.entry(&self.member) {
                entry.links.push(snapshot::Link {
                    number: self.number,
                    generation,
                    service,
                    sick,
                });
                entry.state = State::Live;
                entry.since = Instant::now();
                entry.reason = None;
                entry.failed = false;
            }
        });
    }

    /// Offers the connection no more; the error, if it is to be dialled again after a while.
    fn down(&self, endpoint: &C::Response, end: End) -> Option<Error> {
        self.shared.update(|table| {
            if let Some(entry) = table.entry(&self.member) {
                entry.links.retain(|link| link.number != self.number);
                if entry.links.is_empty() {
                    entry.state = State::Idle;
                    entry.since = Instant::now();
                }
            }
        });
        match end {
            End::Ordered => None,
            End::Drained => Some(lost("the server drained the connection")),
            End::Lost(error) => {
                endpoint.close();
                Some(error)
            }
        }
    }

    /// There is no connection; with a `verdict`, those who do not wait are told so from here on.
    fn failed(&self, error: Error, wait: Option<Duration>, verdict: bool) {
        let address = self.member.address();
        match wait {
            Some(wait) => {
                tracing::warn!(target: "steeple::replicas", address, link = self.number, %error, ?wait, "not connected");
            }
            None => {
                tracing::error!(target: "steeple::replicas", address, link = self.number, %error, "given up");
            }
        }
        self.shared.update(|table| {
            if let Some(entry) = table.entry(&self.member) {
                entry.failed |= verdict || wait.is_none();
                entry.reason = Some(error);
                if entry.links.is_empty() {
                    entry.since = Instant::now();
                    entry.state = wait.map_or(State::GivenUp, |_| State::Waiting);
                }
            }
        });
    }
}

/// Dials, and waits until the other side has opened the connection.
async fn connect<T, C, S>(
    connector: &mut C,
    target: T,
    shared: &Shared<S>,
    member: &Member,
) -> Result<C::Response, Error>
where
    C: Service<T>,
    C::Response: Lifecycle,
    C::Error: Into<BoxError>,
    S: Clone,
{
    shared.update(|table| {
        if let Some(entry) = table.entry(member).filter(|entry| entry.links.is_empty()) {
            entry.state = State::Connecting;
            entry.since = Instant::now();
        }
    });
    let failed = |error: C::Error| Error::from(error.into());
    poll_fn(|cx| connector.poll_ready(cx))
        .await
        .map_err(failed)?;
    let endpoint = connector.call(target).await.map_err(failed)?;
    let dialled = Instant::now();
    let limit = shared.options.handshake_timeout;
    match timeout(limit, endpoint.handshaken()).await {
        Ok(Ok(())) => {
            member.stats().went_live(dialled.elapsed());
            Ok(endpoint)
        }
        Ok(Err(error)) => Err(error),
        Err(elapsed) => {
            endpoint.close();
            let text = format!("no handshake within handshake_timeout of {limit:?}");
            Err(lost(text).with_source(elapsed))
        }
    }
}

/// Returns when a ping is not answered in time; never, if none are sent.
async fn silent(endpoint: &impl Lifecycle, ping: Option<(Duration, Duration)>) -> End {
    let Some((interval, limit)) = ping else {
        return pending().await;
    };
    loop {
        sleep(interval).await;
        match timeout(limit, endpoint.ping()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return End::Lost(error),
            Err(elapsed) => {
                let text = format!("no answer to a ping within {limit:?}");
                return End::Lost(lost(text).with_source(elapsed));
            }
        }
    }
}

/// Lets a connection end by itself, in a task of its own: the next one does not wait for it.
fn leave(endpoint: impl Lifecycle, order: Order, mut wishes: watch::Receiver<Wish>) {
    if order == Order::Close {
        return endpoint.close();
    }
    tokio::spawn(async move {
        let closing = async {
            // No handle that could close it is left: then it may take its time.
            if wishes.wait_for(|wish| *wish == Wish::Close).await.is_err() {
                pending().await
            }
        };
        tokio::select! {
            biased;
            () = closing => endpoint.close(),
            () = endpoint.drain() => {}
        }
    });
}

/// Waits until it is not to run any more.
async fn other_order(orders: &mut watch::Receiver<Order>) {
    // An error is as good: whoever ordered is gone, which the caller finds out.
    let _ = orders.wait_for(|order| *order != Order::Run).await;
}

async fn wait_or_for_ever(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => pending().await,
    }
}

fn unhealthy(cause: Error) -> Error {
    Error::new(Kind::Unavailable, "its health check fails").with_source(cause)
}

fn lost(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::Unreachable, text).with_origin(Origin::Transport)
}
