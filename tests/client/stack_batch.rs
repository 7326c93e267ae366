//! Batches over the default stack have what its calls have.

use std::time::Duration;

use steeple::{
    Client, Connector, Execution, Kind, Request, Response, Server, ServerHandle,
    layers::InheritLayer, transport::mem::MemNetwork,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, service_fn};

use crate::support::{Probe, settle, soon};

const SECOND: Duration = Duration::from_secs(1);

fn client(network: &MemNetwork, endpoints: &str) -> Client {
    let connector = Connector::new().dialer(network.dialer("client"));
    let builder = Client::builder().connector(connector);
    builder.connect_lazy(endpoints).unwrap()
}

fn serve(network: &MemNetwork, name: &str, probe: &Probe) -> ServerHandle {
    Server::new(network.listen(name).unwrap()).spawn(probe.service())
}

/// The request of a call that answers with its body.
fn echo(set: impl FnOnce(&mut steeple::Context)) -> Request {
    let mut request = Request::new("echo", "x".into());
    set(request.cx_mut());
    request
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_a_handler_inherits_what_is_left_of_the_handler() {
    let network = MemNetwork::new(1);
    let probe = Probe::default();
    let _server = serve(&network, "server", &probe);
    let client = client(&network, "mem://server");
    let handler = service_fn(move |_: Request| {
        let batch = client.batch();
        let item = batch.call::<bytes::Bytes>("deadline", "").unwrap();
        let mut free = Request::new("deadline", Default::default());
        free.cx_mut().set_independent(true);
        let independent = batch.request::<bytes::Bytes>(free).unwrap();
        async move {
            batch.run().await?;
            let micros = |item: steeple::Item<bytes::Bytes>| -> u64 {
                let text = item.take().unwrap();
                std::str::from_utf8(&text).unwrap().parse().unwrap()
            };
            let left = (micros(item), micros(independent));
            assert!(left.0 <= 3_000_000 && left.1 > 3_000_000, "{left:?}");
            Ok::<Response, steeple::Error>(Response::default())
        }
    });
    let mut outer = InheritLayer::new().layer(handler);
    let mut request = Request::new("outer", Default::default());
    request.cx_mut().set_timeout(3 * SECOND);
    soon(outer.call(request)).await.unwrap();
    assert_eq!(probe.finished(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_a_call_that_fails_fast_fails_fast() {
    let network = MemNetwork::new(1);
    let client = client(&network, "mem://server");
    let batch = client.batch();
    let fast = batch
        .request::<()>(echo(|cx| _ = cx.set_fail_fast(true)))
        .unwrap();
    let other = batch.call::<()>("echo", "x").unwrap();
    let began = Instant::now();
    let error = soon(batch.run()).await.unwrap_err();
    assert!(began.elapsed() < SECOND);
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unreachable, Execution::NotSent)
    );
    assert_eq!(fast.take().unwrap_err().kind(), Kind::Unreachable);
    assert_eq!(other.take().unwrap_err().kind(), Kind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn the_earliest_deadline_of_a_batch_does_not_refuse_the_rest() {
    let network = MemNetwork::new(1);
    let client = client(&network, "mem://server");
    let batch = client.batch();
    let hurried = batch
        .request::<bytes::Bytes>(echo(|cx| _ = cx.set_timeout(SECOND)))
        .unwrap();
    let patient = batch.call::<bytes::Bytes>("echo", "x").unwrap();
    let run = tokio::spawn(batch.run());
    sleep(3 * SECOND).await;
    let probe = Probe::default();
    let _server = serve(&network, "server", &probe);
    soon(run).await.unwrap().unwrap();
    let error = hurried.take().unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::NotSent)
    );
    assert_eq!(&patient.take().unwrap()[..], b"x");
    assert_eq!(probe.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_begins_to_drain_gives_way_to_another() {
    for round in 0..32 {
        let network = MemNetwork::new(round);
        let probe = Probe::default();
        let servers = ["a", "b"].map(|name| serve(&network, name, &probe));
        let client = client(&network, "mem://a,mem://b");
        let replicas = client.service().replicas();
        soon(replicas.ready()).await.unwrap();
        settle().await;
        let first = replicas.get("mem://a").unwrap().connection();
        let batch = client.batch();
        let item = batch.call::<String>("echo", "x").unwrap();
        // In the moment in which a connection begins to drain, perhaps before its replica knows.
        let run = tokio::spawn(async move {
            first.draining().await;
            batch.run().await
        });
        settle().await;
        let [a, _b] = servers;
        tokio::spawn(async move { a.drain().await });
        soon(run).await.unwrap().unwrap();
        assert_eq!(item.take().unwrap(), "x");
    }
}
