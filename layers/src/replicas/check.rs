//! Whether a connection that is up can be called, as somebody asked finds out.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::caught::caught;
use crate::{BoxError, Error, Kind, Lifecycle};

/// Asks each connection, over and over, whether it can be called. One that says no is not called until it says yes.
///
/// A new connection is asked at once, and called once it has answered; its first answer counts by itself.
/// It is asked below the layers of the replica, so that a limit or a breaker has no say in it.
///
/// ```
/// use std::time::Duration;
///
/// use steeple_layers::{BoxError, replicas::HealthCheck};
/// # #[derive(Clone)] struct Channel;
/// # impl Channel { async fn call(&mut self, _: &str) -> Result<String, BoxError> { Ok("ready".into()) } }
///
/// let check = HealthCheck::by(|mut channel: Channel| async move {
///     match &*channel.call("Status").await? {
///         "ready" => Ok::<_, BoxError>(()),
///         other => Err(other.into()),
///     }
/// });
/// let check = check.interval(Duration::from_secs(3)).unhealthy_after(2);
/// ```
///
/// | what | default |
/// |---|---|
/// | between an answer and the next question | 10 s, less up to a fifth of it by chance |
/// | an answer has to come | within 1 s |
/// | unhealthy | after 3 bad answers in a row |
/// | healthy again | after 2 good ones in a row |
/// | when none is healthy | the check is not believed, and all are called |
///
/// A ping asks whether the other side is there, as [`Builder::ping`](super::Builder::ping) does; but here the
/// connection stays.
#[must_use]
pub struct HealthCheck<P = Ping> {
    probe: Arc<P>,
    interval: Duration,
    timeout: Duration,
    unhealthy_after: u32,
    healthy_after: u32,
    pub(super) strict: bool,
}

/// The question of a [`HealthCheck`]: an `async` function of a connection, whatever that is, or [`Ping`].
pub trait Probe<S>: Send + Sync + 'static {
    /// Asks a connection. What the error says can be read in the
    /// [status](super::Status::reason) of the endpoint.
    fn probe(&self, connection: S) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Whether the connection answers a [ping](Lifecycle::ping).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Ping {}

impl HealthCheck {
    /// Asks by a ping.
    pub fn ping() -> Self {
        Self::by(Ping {})
    }
}

impl<P> HealthCheck<P> {
    /// Asks by this probe.
    pub fn by(probe: P) -> Self {
        Self {
            probe: Arc::new(probe),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            unhealthy_after: 3,
            healthy_after: 2,
            strict: false,
        }
    }

    /// How long after an answer to ask again. A random part, up to a fifth, is taken off, so that clients that
    /// started together do not ask together.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long an answer may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// After how many bad answers in a row a connection is not called any more; at least one.
    pub fn unhealthy_after(mut self, answers: u32) -> Self {
        self.unhealthy_after = answers.max(1);
        self
    }

    /// After how many good answers in a row it is called again; at least one.
    pub fn healthy_after(mut self, answers: u32) -> Self {
        self.healthy_after = answers.max(1);
        self
    }

    /// Calls nobody when nobody is healthy: calls wait then, as if no replica was connected. For a check that
    /// is never wrong, of something without which calls are useless.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Asks once.
    pub(super) async fn ask<S>(&self, connection: S) -> Result<(), Error>
    where
        P: Probe<S>,
    {
        let limit = self.timeout;
        let probe = async { self.probe.probe(connection).await };
        let probe = caught("the probe panicked", probe);
        timeout(limit, probe).await.unwrap_or_else(|_| {
            let text = format!("no answer within {limit:?}");
            Err(Error::new(Kind::Timeout, text))
        })
    }

    /// How long to wait before the next question, where `chance` is below 1.
    pub(super) fn pause(&self, chance: f64) -> Duration {
        self.interval.mul_f64(1.0 - chance / 5.0)
    }

    /// How many answers in a row change the mind about a connection.
    pub(super) fn patience(&self, healthy: bool) -> u32 {
        match healthy {
            true => self.unhealthy_after,
            false => self.healthy_after,
        }
    }
}

impl<S, F, Fut, E> Probe<S> for F
where
    F: Fn(S) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Into<BoxError>,
    S: Send,
{
    async fn probe(&self, connection: S) -> Result<(), Error> {
        self(connection)
            .await
            .map_err(|error| Error::from(error.into()))
    }
}

impl<S: Lifecycle> Probe<S> for Ping {
    async fn probe(&self, connection: S) -> Result<(), Error> {
        connection.ping().await.map(drop)
    }
}

impl<P> Clone for HealthCheck<P> {
    fn clone(&self) -> Self {
        Self {
            probe: self.probe.clone(),
            ..*self
        }
    }
}

impl<P> fmt::Debug for HealthCheck<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCheck")
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .field("unhealthy_after", &self.unhealthy_after)
            .field("healthy_after", &self.healthy_after)
            .field("strict", &self.strict)
            .finish_non_exhaustive()
    }
}
