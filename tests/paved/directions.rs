//! Either side calls the other: each test runs once from the client to the server, once from the server to the client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use steeple::{Client, Error, Execution, Kind, Peer, Router, RpcService};
use tokio::sync::{Notify, mpsc};
use tower::util::BoxCloneSyncService;

use crate::{connect, support::soon};

/// What either side calls, and whatever keeps the connection and the server.
pub(super) type Caller = Client<BoxCloneSyncService<steeple::Request, steeple::Response, Error>>;

/// A caller of `router` in each direction.
pub(super) async fn both_directions(
    router: impl Fn() -> Router,
) -> [(&'static str, Caller, Box<dyn Send>); 2] {
    let (client, server) = connect(router(), Router::new().route("Other", || ())).await;
    let there = (
        "to the server",
        caller(client.into_service()),
        Box::new(server) as _,
    );

    let (client, server) = connect(Router::new().route("Other", || ()), router()).await;
    let peer = server.peers().remove(0);
    peer.handshaken().await.unwrap();
    let back = (
        "to the client",
        caller(peer),
        Box::new((client, server)) as _,
    );
    [there, back]
}

fn caller<S>(service: S) -> Caller
where
    S: RpcService<Error = Error, Future: Send> + Clone + Send + Sync + 'static,
{
    Client::new(BoxCloneSyncService::new(service))
}

/// Counts itself down when it is dropped.
struct Running(Arc<AtomicU64>, Arc<Notify>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.1.notify_one();
    }
}

#[tokio::test(start_paused = true)]
async fn values_are_answered_and_errors_come_back() {
    let router = || {
        Router::new()
            .route("Add", |(a, b): (i64, i64)| a + b)
            .route("Fail", || Err::<(), _>(Error::application(3, "no")))
    };
    for (direction, mut caller, _others) in both_directions(router).await {
        let sums = (0..100i64).map(|n| caller.call::<i64>("Add", &(n, 1i64)).start().unwrap());
        for (n, sum) in (0..).zip(sums.collect::<Vec<_>>()) {
            assert_eq!(soon(sum).await.unwrap(), n + 1, "{direction}");
        }
        let error = soon(caller.call::<()>("Fail", &())).await;
        assert_eq!(error.unwrap_err().as_application().unwrap().code(), 3);
        let error = soon(caller.call::<()>("Unknown", &())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unimplemented, "{direction}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_answer_arrives() {
    let (heard, mut hear) = mpsc::unbounded_channel();
    let router = || {
        let heard = heard.clone();
        Router::new().route("Note", move |text: String| heard.send(text).unwrap())
    };
    for (direction, mut caller, _others) in both_directions(router).await {
        caller.notify("Note", direction).await.unwrap();
        assert_eq!(soon(hear.recv()).await.unwrap(), direction);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_too_late_stops_its_handler() {
    for late in [false, true] {
        let (dropped, told) = (Arc::<AtomicU64>::default(), Arc::<Notify>::default());
        let begun = Arc::<Notify>::default();
        let router = || {
            let (dropped, told, begun) = (dropped.clone(), told.clone(), begun.clone());
            Router::new().route("Never", move || {
                let running = Running(dropped.clone(), told.clone());
                begun.notify_one();
                async move {
                    std::future::pending::<()>().await;
                    drop(running);
                }
            })
        };
        for (times, (direction, mut caller, _others)) in (1..).zip(both_directions(router).await) {
            let call = caller.call::<()>("Never", &());
            if late {
                let error = soon(call.timeout(Duration::from_millis(20)))
                    .await
                    .unwrap_err();
                assert_eq!(
                    (error.kind(), error.execution()),
                    (Kind::Timeout, Execution::MaybeExecuted),
                    "{direction}"
                );
            } else {
                let call = call.start().unwrap();
                soon(begun.notified()).await;
                drop(call);
            }
            soon(told.notified()).await;
            assert_eq!(dropped.load(Ordering::Relaxed), times, "{direction}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_body_and_a_batch_go_either_way() {
    let router = || Router::new().route("Len", |bytes: bytes::Bytes| bytes.len());
    for (direction, mut caller, _others) in both_directions(router).await {
        let len = caller.call::<usize>("Len", vec![7; 3 << 20]);
        assert_eq!(soon(len).await.unwrap(), 3 << 20, "{direction}");
        let batch = caller.batch();
        let items: Vec<_> = (0..50)
            .map(|len| batch.call::<usize>("Len", vec![7; len]).unwrap())
            .collect();
        soon(batch.run()).await.unwrap();
        for (len, item) in items.into_iter().enumerate() {
            assert_eq!(item.take().unwrap(), len, "{direction}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_calls_its_caller_back_within_the_call_and_keeps_what_it_knows_of_it() {
    async fn greet(peer: Peer) -> Result<String, Error> {
        let name: String = Client::new(peer.clone()).call("Name", &()).await?;
        let before = peer.values().insert(name.clone());
        Ok(format!("hello, {name}; before, {before:?}"))
    }
    let (mut client, server) = connect(
        Router::new().route("Greet", greet),
        Router::new().route("Name", || "Ada"),
    )
    .await;
    let first: String = soon(client.call("Greet", &())).await.unwrap();
    assert_eq!(first, "hello, Ada; before, None");
    let second: String = soon(client.call("Greet", &())).await.unwrap();
    assert_eq!(second, "hello, Ada; before, Some(\"Ada\")");

    // The server sees its client go.
    let peer = server.peers().remove(0);
    client.drain().await;
    soon(peer.closed()).await;
    let error = Client::new(peer).call::<String>("Name", &()).await;
    assert_eq!(error.unwrap_err().execution(), Execution::NotSent);
}
