//! What a server does with those who come.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use steeple::{
    Address, Channel, Connector, Error, Request, Response, Server,
    server::Accepted,
    transport::{Listener, mem::MemStream},
};
use tokio::{sync::mpsc, time::sleep};
use tower::{Service, service_fn};
use tracing::Level;

use crate::{
    lines::listen,
    support::{call, echo, settle, soon},
};

/// A listener to which the streams, and the failures, of a test come.
struct Script(mpsc::UnboundedReceiver<io::Result<(MemStream, Address)>>);

/// What the system says when a process has as many files open as it may.
const TOO_MANY_FILES: i32 = 24;

/// The other side of a [`Script`].
struct Clients(mpsc::UnboundedSender<io::Result<(MemStream, Address)>>);

fn script() -> (Clients, Script) {
    let (clients, script) = mpsc::unbounded_channel();
    (Clients(clients), Script(script))
}

impl Listener for Script {
    type Io = MemStream;

    async fn accept(&mut self) -> io::Result<(MemStream, Address)> {
        match self.0.recv().await {
            Some(accepted) => accepted,
            None => pending().await,
        }
    }

    fn local_address(&self) -> Address {
        Address::Other("script".into())
    }
}

impl Clients {
    fn connect(&self, name: &str) -> Channel {
        let (near, far) = MemStream::pair(64 * 1024);
        assert!(self.0.send(Ok((far, Address::Other(name.into())))).is_ok());
        Connector::new().serve(echo()).connect_io(near, None)
    }

    fn fail(&self) {
        let error = io::Error::from_raw_os_error(TOO_MANY_FILES);
        assert!(self.0.send(Err(error)).is_ok());
    }
}

async fn answered(channel: &mut Channel) {
    soon(channel.call(call("echo", "x"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_accept_is_logged_and_counted_and_pauses_nothing_but_accepting() {
    let (lines, _guard) = listen(Level::INFO);
    let (clients, script) = script();
    let server = Server::new(script);
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(echo()));
    let mut before = clients.connect("before");
    answered(&mut before).await;

    clients.fail();
    let mut after = clients.connect("after");
    let answer = after.call(call("echo", "x"));
    sleep(Duration::from_millis(999)).await;
    let stats = handle.stats();
    assert_eq!((stats.accepts, stats.accept_errors), (1, 1));
    answered(&mut before).await;

    sleep(Duration::from_millis(2)).await;
    let stats = handle.stats();
    assert_eq!((stats.accepts, stats.accept_errors), (2, 1));
    soon(answer).await.unwrap();
    let log = lines.take();
    assert!(
        log.contains("ERROR steeple::server: an accept failed"),
        "{log}"
    );
    assert!(log.contains(&format!("os error {TOO_MANY_FILES}")), "{log}");

    clients.fail();
    settle().await;
    assert_eq!(handle.stats().accept_errors, 2);
    // In the midst of the pause.
    let drained = tokio::time::timeout(Duration::from_millis(500), handle.drain());
    drained.await.unwrap();
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn peers_are_in_the_order_in_which_they_came() {
    let (clients, script) = script();
    let server = Server::new(script);
    let handle = server.handle();
    let names = || -> Vec<String> {
        let peers = handle.peers();
        let names = peers.iter().map(|peer| peer.address().unwrap().to_string());
        names.collect()
    };
    tokio::spawn(server.serve(echo()));
    assert!(names().is_empty());
    let _c = clients.connect("c");
    let a = clients.connect("a");
    let _b = clients.connect("b");
    settle().await;
    assert_eq!(names(), ["c", "a", "b"]);

    a.close();
    settle().await;
    assert_eq!(names(), ["c", "b"]);
    let _a = clients.connect("a");
    settle().await;
    assert_eq!(names(), ["c", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_calls_the_peers_that_it_lists() {
    let (clients, script) = script();
    let server = Server::new(script);
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    let _channels = [clients.connect("a"), clients.connect("b")];
    settle().await;
    for mut peer in handle.peers() {
        let name = peer.address().unwrap().to_string();
        let answer = soon(peer.call(call("echo", name.clone()))).await.unwrap();
        assert_eq!(answer.body().as_bytes(), &name);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_counted_outlives_it() {
    let (clients, script) = script();
    let server = Server::new(script);
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    let mut stays = clients.connect("stays");
    let mut leaves = clients.connect("leaves");
    answered(&mut stays).await;
    answered(&mut leaves).await;
    answered(&mut leaves).await;
    assert_eq!(handle.stats().served.ok(), 3);

    leaves.close();
    soon(leaves.closed()).await;
    settle().await;
    assert_eq!(handle.peers().len(), 1);
    answered(&mut stays).await;
    let stats = handle.stats();
    assert_eq!((stats.served.ok(), stats.accepts), (4, 2));

    soon(handle.drain()).await;
    let stats = handle.stats();
    assert_eq!((stats.served.ok(), stats.accepts), (4, 2));
    let sent = stays.stats().bytes_written + leaves.stats().bytes_written;
    assert_eq!(stats.bytes_read, sent);
}

/// Answers how often this very clone was called.
struct Counts {
    calls: usize,
    clones: Arc<AtomicUsize>,
}

impl Clone for Counts {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self {
            calls: 0,
            clones: self.clones.clone(),
        }
    }
}

impl Service<Request> for Counts {
    type Response = Response;
    type Error = Error;
    type Future = std::future::Ready<Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        self.calls += 1;
        std::future::ready(Ok(Response::new(self.calls.to_string().into())))
    }
}

#[tokio::test(start_paused = true)]
async fn each_connection_has_one_clone_of_the_service_for_all_its_calls() {
    let (clients, script) = script();
    let clones = Arc::new(AtomicUsize::new(0));
    let service = Counts {
        calls: 0,
        clones: clones.clone(),
    };
    tokio::spawn(Server::new(script).serve(service));
    let mut channels = [clients.connect("a"), clients.connect("b")];
    for calls in ["1", "2", "3"] {
        for channel in &mut channels {
            let answer = soon(channel.call(call("count", ""))).await.unwrap();
            assert_eq!(answer.body().as_bytes(), calls);
        }
    }
    // Beside those of the connections there is one that was asked first whether the service is of use.
    assert_eq!(clones.load(Ordering::Relaxed), 1 + 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_clients_of_a_listener_have_one_service_and_the_rest_another() {
    let (clients, script) = script();
    let made = Arc::new(AtomicUsize::new(0));
    let make = service_fn(move |_: Accepted| {
        let name = match made.fetch_add(1, Ordering::Relaxed) {
            0..2 => "of the first",
            _ => "of the rest",
        };
        let service =
            service_fn(move |_: Request| async move { Ok::<_, Error>(Response::new(name.into())) });
        async move { Ok::<_, Error>(service) }
    });
    let server = Server::new(script);
    let handle = server.handle();
    tokio::spawn(server.serve_with(make));
    for name in ["of the first", "of the first", "of the rest", "of the rest"] {
        let mut channel = clients.connect("client");
        for _ in 0..2 {
            let answer = soon(channel.call(call("who", ""))).await.unwrap();
            assert_eq!(answer.body().as_bytes(), name);
        }
    }
    soon(handle.drain()).await;
}
