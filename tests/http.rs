//! The layers over services of `http`, and over the routes of axum.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use steeple::{
    BoxError, Error, Execution, Kind, Lifecycle, Origin,
    layers::{
        BalanceLayer, CatchPanicLayer, LogLayer, Replicas, RetryLayer, RetryPolicy, TimeoutLayer,
        balance::RoundRobin, resolve::Fixed,
    },
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tracing::Level;

use crate::lines::listen;

#[path = "../layers/tests/support/lines.rs"]
mod lines;

/// An HTTP client of one host, as good as connected: it knows nothing of steeple.
#[derive(Clone)]
struct Host(&'static str);

impl Service<Request<String>> for Host {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<String>, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let refused =
            || Error::new(Kind::Unavailable, "full").with_execution(Execution::NotStarted);
        std::future::ready(match self.0 {
            "busy" => Err(refused().into()),
            name => Ok(Response::new(format!("{name}: {}", request.into_body()))),
        })
    }
}

/// What is there for as long as its test.
macro_rules! always_there {
    ($service:ty) => {
        impl Lifecycle for $service {
            async fn handshaken(&self) -> Result<(), Error> {
                Ok(())
            }

            async fn draining(&self) {
                std::future::pending().await
            }

            async fn closed(&self) {
                std::future::pending().await
            }

            async fn ping(&self) -> Result<Duration, Error> {
                Ok(Duration::ZERO)
            }

            async fn drain(&self) {}

            fn close(&self) {}

            fn pending(&self) -> usize {
                0
            }
        }
    };
}

always_there!(Host);
always_there!(Site);

#[tokio::test(start_paused = true)]
async fn a_client_of_several_http_hosts_is_timed_retried_balanced_and_logged() {
    let connector = service_fn(async |name: &'static str| Ok::<_, Error>(Host(name)));
    let replicas = Replicas::new(Fixed::new(["busy", "free"]).unwrap(), connector);
    replicas.ready().await.unwrap();
    while replicas.replicas().len() < 2 {
        tokio::task::yield_now().await;
    }
    let mut client = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(BalanceLayer::new(RoundRobin::default()))
        .service(replicas);
    let (lines, _guard) = listen(Level::DEBUG);
    for _ in 0..10 {
        let request = Request::get("http://hosts/hello").body("hello".to_owned());
        let ready = client.ready().await.unwrap();
        let response = ready.call(request.unwrap()).await.unwrap();
        assert_eq!(response.body(), "free: hello");
    }
    let told = lines.take();
    let calls = told.matches("DEBUG steeple::call: method=/hello attempt=0 peer=free outcome=ok");
    assert_eq!(calls.count(), 10, "{told}");
    // Every other call began at the host that is busy.
    assert!(
        told.matches("trying again method=/hello").count() >= 5,
        "{told}"
    );
}

/// A site of axum's routes, which do not fail, as a replica.
#[derive(Clone)]
struct Site(Router);

impl Service<Request<Body>> for Site {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let ready = Service::<Request<Body>>::poll_ready(&mut self.0, cx);
        ready.map_err(|never| match never {})
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async { answer.await.map_err(|never| match never {}) })
    }
}

#[tokio::test(start_paused = true)]
async fn the_routes_of_axum_are_balanced_and_logged() {
    let connector = service_fn(async |name: &'static str| {
        let hello = get(async move || format!("hello from {name}"));
        Ok::<_, Error>(Site(Router::new().route("/hello", hello)))
    });
    let replicas = Replicas::new(Fixed::new(["a", "b"]).unwrap(), connector);
    while replicas.replicas().len() < 2 {
        tokio::task::yield_now().await;
    }
    let mut client = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(BalanceLayer::new(RoundRobin::default()))
        .service(replicas);
    let (lines, _guard) = listen(Level::DEBUG);
    let mut answers = Vec::new();
    for _ in 0..4 {
        let request = Request::get("http://site/hello").body(Body::empty());
        let response = client.call(request.unwrap()).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        answers.push(String::from_utf8(body.unwrap().into()).unwrap());
    }
    answers.sort();
    let (a, b) = ("hello from a", "hello from b");
    assert_eq!(answers, [a, a, b, b]);
    let told = lines.take();
    let line = |peer| {
        format!("DEBUG steeple::call: method=/hello attempt=0 peer={peer} outcome=ok elapsed=0ns\n")
    };
    assert_eq!(told, ["a", "b", "a", "b"].map(line).concat());
}

#[tokio::test(start_paused = true)]
async fn the_routes_of_axum_are_timed_logged_and_their_panics_caught() {
    let routes = Router::new()
        .route("/hello", get(async || "hello"))
        .route("/hang", get(async || std::future::pending::<()>().await))
        .route("/panic", get(async || -> () { panic!("boom") }));
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(LogLayer::new())
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        // Routes do not fail; the layers do.
        .map_err(|never: Infallible| -> Error { match never {} })
        .service(routes);
    let call = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        service.clone().oneshot(request).await
    };
    assert_eq!(call("/hello").await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        call("/nowhere").await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(call("/hang").await.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(call("/panic").await.unwrap_err().kind(), Kind::Internal);
}

/// What makes routes something to retry: above, a body that can be copied, which the routes get as their own; and a
/// status that says the request was not begun is the error that the layers know.
#[tokio::test(start_paused = true)]
async fn the_routes_of_axum_are_retried_with_a_body_that_can_be_sent_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let routes = Router::new().route(
        "/echo",
        post(
            async move |body: Bytes| match counted.fetch_add(1, SeqCst) {
                0 | 1 => Err(StatusCode::SERVICE_UNAVAILABLE),
                _ => Ok(body),
            },
        ),
    );
    let client = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .layer(RetryLayer::default())
        .map_request(|request: Request<Bytes>| request.map(Body::from))
        .map_result(|answer: Result<Response<Body>, Error>| {
            let response = answer?;
            match response.status() {
                StatusCode::SERVICE_UNAVAILABLE => Err(Error::new(Kind::Unavailable, "busy")
                    .with_origin(Origin::Remote)
                    .with_execution(Execution::NotStarted)),
                _ => Ok(response),
            }
        })
        .map_err(|never: Infallible| -> Error { match never {} })
        .service(routes);
    let request = Request::post("/echo").body(Bytes::from("hello")).unwrap();
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 100).await;
    assert_eq!(body.unwrap(), "hello");
    assert_eq!(calls.load(SeqCst), 3);
}
