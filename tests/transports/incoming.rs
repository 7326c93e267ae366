//! A stream of connections as a listener.

use std::{io, time::Duration};

use futures_util::stream;
use steeple::{
    Address, Connector, Execution, Server, ServerHandle, Stopped,
    transport::{Incoming, mem::MemStream},
};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};
use tower::Service;

use crate::support::{call, echo, settle, soon};

type Item = io::Result<MemStream>;

/// A server of what the test gives.
fn serve() -> (
    mpsc::UnboundedSender<Item>,
    ServerHandle,
    JoinHandle<Stopped>,
) {
    let (give, given) = mpsc::unbounded_channel::<Item>();
    let streams = stream::unfold(given, |mut given| async {
        let stream = given.recv().await?;
        let accepted = stream.map(|io| (io, Address::Other("client".into())));
        Some((accepted, given))
    });
    let server = Server::new(Incoming::new(streams, Address::Other("here".into())));
    let handle = server.handle();
    (give, handle, tokio::spawn(server.serve(echo())))
}

#[tokio::test(start_paused = true)]
async fn only_its_end_ends_the_server_and_no_item() {
    let (give, handle, serving) = serve();
    give.send(Err(io::ErrorKind::UnexpectedEof.into())).unwrap();
    let (near, far) = MemStream::pair(1024);
    give.send(Ok(far)).unwrap();
    let mut channel = Connector::new().connect_io(near, None);
    soon(channel.call(call("echo", "x"))).await.unwrap();
    let stats = handle.stats();
    assert_eq!((stats.accepts, stats.accept_errors), (1, 1));

    drop(give);
    sleep(Duration::from_secs(5)).await;
    assert!(!serving.is_finished(), "it has a client");
    soon(channel.drain()).await;
    assert_eq!(soon(serving).await.unwrap(), Stopped::Ended);
}

#[tokio::test(start_paused = true)]
async fn who_stands_behind_failed_accepts_when_the_server_drains_is_told() {
    let (give, handle, _serving) = serve();
    let fails = || Err(io::ErrorKind::ConnectionAborted.into());
    // The first makes accepting pause, and the second is met by the drain.
    give.send(fails()).unwrap();
    give.send(fails()).unwrap();
    let (near, far) = MemStream::pair(1024);
    give.send(Ok(far)).unwrap();
    let mut channel = Connector::new().connect_io(near, None);
    let answer = channel.call(call("echo", "x"));
    settle().await;
    soon(handle.drain()).await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(error.execution(), Execution::NotStarted);
}
