//! What a server puts around its service, and what it leaves alone.

use std::time::Duration;

use steeple::{
    Client, Connector, Error, Kind, Request, Response, RpcService, Server,
    layers::inherit,
    transport::mem::{MemDialer, MemNetwork},
};
use tokio::time::Instant;
use tower::service_fn;

use crate::support::{Probe, soon};

async fn connect(network: &MemNetwork, name: &str) -> Client {
    let dialer: MemDialer = network.dialer("client");
    let builder = Client::builder().connector(Connector::new().dialer(dialer));
    builder.connect(format!("mem://{name}")).await.unwrap()
}

fn serve(network: &MemNetwork, name: &str, service: impl RpcService + Clone + Send + 'static) {
    let server = Server::new(network.listen(name).unwrap());
    tokio::spawn(server.serve(service));
}

/// Answers whether a handler could tell its deadline to what it calls.
async fn inherits(_: Request) -> Result<Response, Error> {
    Ok(Response::new(
        inherit::deadline().is_some().to_string().into(),
    ))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_handler_makes_has_what_its_caller_has_left() {
    let network = MemNetwork::new(1);
    serve(&network, "inner", Probe::default().service());
    let inner = connect(&network, "inner").await;
    let outer = service_fn(move |_: Request| {
        let mut inner = inner.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let left: String = inner.call("deadline", "").await?;
            Ok::<_, Error>(Response::new(left.into()))
        }
    });
    serve(&network, "outer", outer);
    let mut client = connect(&network, "outer").await;
    let call = client
        .call::<String>("any", "")
        .timeout(Duration::from_secs(5));
    let left: u64 = soon(call.into_future()).await.unwrap().parse().unwrap();
    assert!((3_990_000..=4_000_000).contains(&left), "{left} us");
}

#[tokio::test(start_paused = true)]
async fn no_call_lasts_longer_than_its_server_allows() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    let server = Server::new(network.listen("server").unwrap());
    let server = server.max_call_time(Duration::from_secs(2));
    tokio::spawn(server.serve(probe.service()));
    let mut client = connect(&network, "server").await;
    let begun = Instant::now();
    let call = client
        .call::<()>("never", "")
        .timeout(Duration::from_secs(60));
    let error = soon(call.into_future()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(begun.elapsed().as_secs(), 2);
    probe.until_dropped(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_served_bare_has_nothing_around_it() {
    let network = MemNetwork::new(1);
    serve(&network, "paved", service_fn(inherits));
    let server = Server::new(network.listen("bare").unwrap());
    tokio::spawn(server.serve_bare(service_fn(inherits)));
    for (name, inherited) in [("paved", "true"), ("bare", "false")] {
        let mut client = connect(&network, name).await;
        let answer: String = client.call("any", "").await.unwrap();
        assert_eq!(answer, inherited, "{name}");
    }
}
