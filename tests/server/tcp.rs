//! A server over TCP on this host.

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use steeple::{Address, Channel, Execution, Kind, Server, ServerHandle, conn::Excess};
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tower::Service;

use crate::support::{Probe, call, echo};

/// Who waits for this long, hangs.
const LONG: Duration = Duration::from_secs(60);

async fn serve() -> ServerHandle {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    handle
}

async fn connect(server: &ServerHandle) -> Channel {
    Channel::connect(server.address()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_answers_every_call_that_it_took() {
    let server = serve().await;
    let (answered, loaded) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut callers = JoinSet::new();
    for _ in 0..3 {
        let channel = connect(&server).await;
        for caller in 0..16 {
            let (mut channel, answered, loaded) =
                (channel.clone(), answered.clone(), loaded.clone());
            callers.spawn(async move {
                for n in 0.. {
                    let body = format!("{caller}: {n}");
                    match channel.call(call("echo", body.clone())).await {
                        Ok(answer) => assert_eq!(answer.body().as_bytes(), &body),
                        Err(error) => return error,
                    }
                    if answered.fetch_add(1, Ordering::Relaxed) == 2000 {
                        loaded.notify_one();
                    }
                }
                unreachable!("a caller calls until it is refused")
            });
        }
    }
    timeout(LONG, loaded.notified()).await.unwrap();
    timeout(LONG, server.drain()).await.unwrap();

    while let Some(refused) = timeout(LONG, callers.join_next()).await.unwrap() {
        let error = refused.unwrap();
        assert!(error.execution().is_safe_to_repeat(), "{error:?}");
    }
    let served = server.stats().served;
    assert_eq!(served.ok(), answered.load(Ordering::Relaxed) as u64);
    assert!(server.peers().is_empty());
    let error = Channel::connect(server.address()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test]
async fn who_waits_in_the_systems_queue_when_the_server_drains_is_told_that_nothing_was_started() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.max_connections(1, Excess::Wait).spawn(echo());
    let first = connect(&server).await;
    first.handshaken().await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..20 {
        // It has sent its call before anybody has accepted it.
        let mut channel = connect(&server).await;
        let answer = channel.call(call("echo", "x"));
        while channel.stats().bytes_written == 0 {
            tokio::task::yield_now().await;
        }
        answers.push((channel, answer));
    }
    timeout(LONG, server.drain()).await.unwrap();
    for (_channel, answer) in answers {
        let error = timeout(LONG, answer).await.unwrap().unwrap_err();
        assert_eq!(error.execution(), Execution::NotStarted, "{error:?}");
    }
    assert_eq!(server.stats().refusals, 20);
}

#[tokio::test]
async fn who_came_in_the_moment_of_a_drain_is_told_too() {
    let server = serve().await;
    tokio::task::yield_now().await;
    let Address::Tcp(address) = server.address() else {
        panic!("it is an address of TCP");
    };
    // The runtime has not asked the system whether anybody has come.
    let streams = [(); 3].map(|()| std::net::TcpStream::connect(address).unwrap());
    timeout(LONG, server.drain()).await.unwrap();
    for mut stream in streams {
        let mut farewell = Vec::new();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.read_to_end(&mut farewell).unwrap();
        let text = String::from_utf8_lossy(&farewell);
        assert!(text.contains("the server stops"), "{text:?}");
    }
}

#[tokio::test]
async fn a_close_fails_what_is_under_way_and_frees_the_port() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let (handle, probe) = (server.handle(), Probe::default());
    tokio::spawn(server.serve(probe.service()));
    let mut channel = connect(&handle).await;
    let answer = channel.call(call("never", ""));
    while probe.started() == 0 {
        tokio::task::yield_now().await;
    }
    timeout(LONG, handle.close()).await.unwrap();
    let error = timeout(LONG, answer).await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::MaybeExecuted)
    );
    let _again = Server::bind(handle.address()).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_listened_on_is_named() {
    let taken = serve().await;
    let error = Server::bind(taken.address()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(
        error.to_string().contains(&taken.address().to_string()),
        "{error}"
    );
    let error = Server::bind("127.0.0.1:0").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

/// What the kernel knows of sockets.
#[cfg(target_os = "linux")]
mod sockets {
    use tokio::{
        io::AsyncWriteExt,
        net::{TcpSocket, TcpStream},
    };

    use super::*;

    /// The state of a socket whose peer has closed, and which its own side has not.
    const CLOSE_WAIT: &str = "08";

    /// How often the kernel is asked, 10 ms apart: it closes sockets in its own time.
    const ASKED_AT_MOST: usize = 1000;

    /// The states of all sockets of this host at one end of which is this port.
    fn states(port: u16) -> Vec<String> {
        let port = format!(":{port:04X}");
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let rows = table.lines().skip(1).map(|row| row.split_whitespace());
        rows.filter_map(|mut row| {
            let (_, local, remote) = (row.next()?, row.next()?, row.next()?);
            let state = row.next()?;
            (local.ends_with(&port) || remote.ends_with(&port)).then(|| state.into())
        })
        .collect()
    }

    async fn until(done: impl Fn() -> bool) {
        for _ in 0..ASKED_AT_MOST {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("this does not come");
    }

    fn port(server: &ServerHandle) -> u16 {
        let address = server.address().to_string();
        address.rsplit(':').next().unwrap().parse().unwrap()
    }

    async fn raw(server: &ServerHandle) -> TcpStream {
        TcpStream::connect(("127.0.0.1", port(server)))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn no_socket_of_a_server_waits_to_be_closed_after_its_client_has_left() {
        let server = serve().await;
        let mut drained = connect(&server).await;
        drained.call(call("echo", "x")).await.unwrap();
        drained.drain().await;
        let mut closed = connect(&server).await;
        closed.call(call("echo", "x")).await.unwrap();
        closed.close();
        drop(connect(&server).await);
        // Without a word; in the midst of one; half of it closed, and the rest kept.
        drop(raw(&server).await);
        raw(&server).await.write_all(&[0x9E, b's']).await.unwrap();
        let mut half = raw(&server).await;
        half.shutdown().await.unwrap();

        until(|| server.stats().accepts == 6 && server.peers().is_empty()).await;
        until(|| {
            !states(port(&server))
                .iter()
                .any(|state| state == CLOSE_WAIT)
        })
        .await;
        drop((drained, closed, half));
    }

    #[tokio::test]
    async fn no_socket_of_a_client_waits_to_be_closed_after_its_server_has_left() {
        let [drained, closed] = [serve().await, serve().await];
        let mut channels = [connect(&drained).await, connect(&closed).await];
        for channel in &mut channels {
            channel.call(call("echo", "x")).await.unwrap();
        }
        drained.drain().await;
        closed.close().await;
        for server in [drained, closed] {
            until(|| {
                !states(port(&server))
                    .iter()
                    .any(|state| state == CLOSE_WAIT)
            })
            .await;
        }
        for channel in &channels {
            assert!(channel.is_closed());
        }
    }

    #[tokio::test]
    async fn a_socket_that_waits_to_be_closed_would_be_seen() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (_kept, _) = listener.accept().await.unwrap();
        drop(client);
        until(|| {
            states(address.port())
                .iter()
                .any(|state| state == CLOSE_WAIT)
        })
        .await;
    }
}
