//! Layers over an endpoint in the same process: what a stack costs when nothing below it costs anything.
//!
//! The endpoint is pending once, as every real one is: a layer whose future is only cheap when it is ready at
//! once shows its price.

use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use steeple::layers::resolve::Fixed;
use steeple::layers::{
    BalanceLayer, CatchPanicLayer, InheritLayer, LogLayer, PeerAndSizes, PropagateTraceLayer,
    Replicas, RetryLayer, TimeoutLayer,
};
use steeple::{Body, Error as CallError, Lifecycle, Request, Response};
use tower::retry::Policy;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use super::spawn;
use crate::Error;
use crate::harness::probe::Probe;
use crate::workload::Workload;

/// Longer than any call, and shorter than for ever: the timer is armed and never fires.
const TIMEOUT: Duration = Duration::from_secs(20);
/// More than there are callers: the limit is asked and never met.
const ROOM: usize = 1024;

/// Starts the callers of a stack.
type Start = fn(&Callers);

/// The stacks by name. To measure another is a line here.
const STACKS: &[(&str, Start)] = &[
    ("endpoint", |callers| callers.drive(Endpoint)),
    ("tower boxed", |callers| {
        callers.drive(BoxCloneSyncService::new(Endpoint));
    }),
    ("tower timeout", |callers| {
        callers.drive(ServiceBuilder::new().timeout(TIMEOUT).service(Endpoint));
    }),
    ("tower limit", |callers| {
        callers.drive(
            ServiceBuilder::new()
                .concurrency_limit(ROOM)
                .service(Endpoint),
        );
    }),
    ("tower retry", |callers| {
        callers.drive(ServiceBuilder::new().retry(Once).service(Endpoint));
    }),
    ("tower buffer", |callers| {
        callers.drive(ServiceBuilder::new().buffer(ROOM).service(Endpoint));
    }),
    ("steeple log", |callers| {
        let log = LogLayer::new().describe(PeerAndSizes);
        callers.drive(log.layer(Endpoint));
    }),
    ("steeple timeout", |callers| {
        callers.drive(TimeoutLayer::new(TIMEOUT).layer(Endpoint));
    }),
    ("steeple timeout, kept below", |callers| {
        callers.drive(TimeoutLayer::new(TIMEOUT).kept_below().layer(Endpoint));
    }),
    ("steeple retry", |callers| {
        callers.drive(RetryLayer::default().layer(Endpoint));
    }),
    ("steeple balance", |callers| {
        callers.drive(BalanceLayer::default().layer(replicas(&["a", "b", "c"])));
    }),
    ("steeple client", |callers| {
        callers.drive(client(replicas(&["a", "b", "c"])));
    }),
    ("steeple client, one replica", |callers| {
        callers.drive(client(replicas(&["a"])));
    }),
    ("steeple server", |callers| {
        let layers = ServiceBuilder::new()
            .layer(CatchPanicLayer::new())
            .layer(LogLayer::new().describe(PeerAndSizes))
            .layer(InheritLayer::new());
        callers.drive(layers.service(Endpoint));
    }),
    ("tower timeout, retry, limit", |callers| {
        let layers = ServiceBuilder::new().timeout(TIMEOUT).retry(Once);
        callers.drive(layers.concurrency_limit(ROOM).service(Endpoint));
    }),
];

/// The names of all stacks.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STACKS.iter().map(|(name, _)| *name)
}

/// Starts the callers of one stack.
pub(crate) fn start(name: &str, workload: Workload, probe: &'static Probe) -> Result<(), Error> {
    let named = STACKS.iter().find(|(known, _)| *known == name);
    let (_, start) = named.ok_or_else(|| format!("no stack {name:?}"))?;
    start(&Callers { workload, probe });
    Ok(())
}

/// Those who call, whatever the stack.
struct Callers {
    workload: Workload,
    probe: &'static Probe,
}

impl Callers {
    fn drive<S>(&self, stack: S)
    where
        S: Service<Request, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    {
        for caller in 0..self.workload.callers {
            let (mut stack, meter) = (stack.clone(), self.probe.meter(caller));
            spawn(async move {
                loop {
                    let ready = stack.ready().await.map_err(Into::into)?;
                    let request = Request::new("Echo", Body::from("order"));
                    ready.call(request).await.map_err(Into::into)?;
                    meter.add(1);
                }
            });
        }
    }
}

/// A service that answers the second time it is polled.
#[derive(Clone)]
struct Endpoint;

impl Service<Request> for Endpoint {
    type Response = Response;
    type Error = CallError;
    type Future = PendingOnce;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> PendingOnce {
        PendingOnce {
            body: Some(request.into_body()),
            pending: true,
        }
    }
}

/// The layers of the default client.
fn client(
    replicas: Replicas<Endpoint>,
) -> impl Service<Request, Error = CallError, Future: Send> + Clone + Send + 'static {
    ServiceBuilder::new()
        .layer(LogLayer::new().describe(PeerAndSizes))
        .layer(PropagateTraceLayer::new().begin(false))
        .layer(TimeoutLayer::new(TIMEOUT).kept_below())
        .layer(RetryLayer::default())
        .layer(BalanceLayer::default())
        .service(replicas)
}

/// Several are compared, and one is not.
fn replicas(names: &[&'static str]) -> Replicas<Endpoint> {
    let connector = service_fn(|_: &'static str| ready(Ok::<_, CallError>(Endpoint)));
    Replicas::builder(
        Fixed::new(names.to_vec()).expect("no name comes twice"),
        connector,
    )
    .start()
}

/// It is always there.
impl Lifecycle for Endpoint {
    async fn handshaken(&self) -> Result<(), CallError> {
        Ok(())
    }

    async fn draining(&self) {
        pending().await
    }

    async fn closed(&self) {
        pending().await
    }

    async fn ping(&self) -> Result<Duration, CallError> {
        Ok(Duration::ZERO)
    }

    async fn drain(&self) {}

    fn close(&self) {}

    fn pending(&self) -> usize {
        0
    }
}

struct PendingOnce {
    body: Option<Body>,
    pending: bool,
}

impl Future for PendingOnce {
    type Output = Result<Response, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.pending, false) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(Response::new(self.body.take().unwrap_or_default())))
    }
}

/// Would repeat a call that failed, of which there is none.
#[derive(Clone)]
struct Once;

impl<T, E> Policy<Request, T, E> for Once {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Request, result: &mut Result<T, E>) -> Option<Self::Future> {
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }
}
