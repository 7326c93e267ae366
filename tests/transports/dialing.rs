//! A dial is a call of a tower service, so what goes around calls goes around dials.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use steeple::{
    BoxError, Client, Connector, Endpoint, Error, Server,
    transport::{NetDialer, mem::MemNetwork},
};
use tokio::time::Instant;
use tower::{
    ServiceBuilder, ServiceExt,
    retry::{Policy, Retry},
    service_fn,
};

use crate::{
    support::echo,
    world::{soon, told},
};

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

/// As often as this, and no oftener.
#[derive(Clone)]
struct Again(u32);

impl<R: Clone, T, E> Policy<R, T, E> for Again {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut R, result: &mut Result<T, E>) -> Option<Self::Future> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_layer_ends_a_dial() {
    let silent = service_fn(async |_: Endpoint| {
        std::future::pending::<Result<(tokio::io::DuplexStream, _), io::Error>>().await
    });
    let dialer = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .service(silent);
    let began = Instant::now();
    let error = Connector::new()
        .dialer(dialer)
        .connect("tcp://nowhere:1")
        .await
        .unwrap_err();
    assert!(told(&error).contains("timed out"), "{}", told(&error));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_retry_layer_dials_again_and_a_limit_counts_dials() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    let dials = Arc::new(AtomicU32::new(0));
    let counted = dials.clone();
    let fails_twice = service_fn(move |endpoint: Endpoint| {
        let dial = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            match dial {
                0 | 1 => Err(BoxError::from("not yet")),
                _ => NetDialer::new()
                    .oneshot(endpoint)
                    .await
                    .map_err(BoxError::from),
            }
        }
    });
    let dialer = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(Retry::new(Again(2), fails_twice));
    let connector = Connector::new().dialer(dialer);
    soon(connector.connect(handle.address())).await.unwrap();
    assert_eq!(dials.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn layers_go_around_a_connector_as_well() {
    let network = MemNetwork::new(7);
    let server = Server::new(network.listen("server").unwrap());
    tokio::spawn(server.serve(echo()));
    let connector = Connector::new().dialer(network.dialer("client"));
    let seen = Arc::new(AtomicU32::new(0));
    let counted = seen.clone();
    let layered = ServiceBuilder::new()
        .map_request(move |endpoint: Endpoint| {
            counted.fetch_add(1, Ordering::Relaxed);
            endpoint
        })
        .service(connector);
    let builder = Client::builder().connector(layered);
    let mut client = builder.connect("mem://server").await.unwrap();
    let answer: Result<String, Error> = client.call("echo", "x").await;
    assert_eq!(
        (answer.unwrap().as_str(), seen.load(Ordering::Relaxed)),
        ("x", 1)
    );
}

#[tokio::test]
async fn a_scheme_that_a_dialler_does_not_know_is_told() {
    let error = NetDialer::new()
        .oneshot(endpoint("mem://server"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("a MemNetwork dials it"),
        "{error}"
    );
    let error = Server::bind("mem://server").await.unwrap_err();
    assert!(
        told(&error).contains("a MemNetwork makes its listener"),
        "{}",
        told(&error)
    );
    let error = Connector::new()
        .connect("carrier-pigeon://here")
        .await
        .unwrap_err();
    assert!(
        told(&error).contains("is not one of tcp tls unix mem"),
        "{}",
        told(&error)
    );
}
