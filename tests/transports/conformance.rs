//! What holds over every transport.

use std::{io, time::Duration};

use steeple::{
    Address, Endpoint, Kind,
    transport::{
        Algorithm, Compression, Listener, NetDialer, NetListener, TcpDialer, TcpListener,
        TlsClient, TlsServer, Wrapped, mem::MemNetwork,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tower::{Service, service_fn};

use crate::{
    certificates::Authority,
    support::call,
    world::{World, soon},
};

/// Each behaviour, over each transport.
macro_rules! over {
    ($($transport:ident)*) => {
        $(mod $transport {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn calls_at_a_time_are_each_answered() {
                super::calls(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn an_error_of_the_server_reaches_the_caller() {
                super::errors(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_call_that_is_dropped_stops_its_handler() {
                super::cancel(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_deadline_ends_a_call_and_not_the_connection() {
                super::deadline(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_drain_answers_what_was_called() {
                super::drain(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn large_bodies_go_both_ways_whole_beside_small_ones() {
                super::large_bodies(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_handler_calls_its_caller_back() {
                super::duplex(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn garbage_ends_its_own_connection_and_no_other() {
                super::hostile(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_channel_calls_the_other_side_what_was_dialled() {
                super::address(super::$transport().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_client_that_leaves_is_gone_at_the_server() {
                super::leaving(super::$transport().await).await;
            }
        })*
    };
}

over!(tcp mem tls mutual_tls compressed_tcp deflated_tcp compressed_tls of_ones_own listener_of_ones_own);
#[cfg(unix)]
over!(unix);

pub(crate) async fn tcp() -> World {
    let listener = NetListener::bind(&endpoint("tcp://127.0.0.1:0")).await;
    World::new(listener.unwrap(), NetDialer::new())
}

#[cfg(unix)]
async fn unix() -> World {
    let place = crate::unix::Place::new();
    let listener = NetListener::bind(&place.endpoint()).await.unwrap();
    World::at(place.endpoint(), listener, NetDialer::new(), place)
}

async fn mem() -> World {
    let network = MemNetwork::new(7);
    World::new(network.listen("server").unwrap(), network.dialer("client"))
}

pub(crate) async fn tls() -> World {
    let authority = Authority::new();
    let server = TlsServer::new(authority.identity(&["127.0.0.1"])).unwrap();
    let client = TlsClient::new(authority.roots());
    let listener = server.bind("tls://127.0.0.1:0").await.unwrap();
    World::new(listener, NetDialer::new().tls(client))
}

pub(crate) async fn mutual_tls() -> World {
    let authority = Authority::new();
    let server = authority.identity(&["127.0.0.1"]);
    let server = TlsServer::mutual(server, authority.roots()).unwrap();
    let client = TlsClient::mutual(authority.roots(), authority.identity(&["client"])).unwrap();
    let listener = server.bind("tls://127.0.0.1:0").await.unwrap();
    World::new(listener, NetDialer::new().tls(client))
}

pub(crate) async fn compressed_tcp() -> World {
    let listener = NetListener::bind(&endpoint("tcp://127.0.0.1:0")).await;
    let listener = Wrapped::new(listener.unwrap(), Compression::new());
    World::new(listener, Wrapped::new(NetDialer::new(), Compression::new()))
}

pub(crate) async fn deflated_tcp() -> World {
    let compression = Compression::new().sends(Algorithm::Deflate);
    let listener = NetListener::bind(&endpoint("tcp://127.0.0.1:0")).await;
    let listener = Wrapped::new(listener.unwrap(), compression.clone());
    World::new(listener, Wrapped::new(NetDialer::new(), compression))
}

pub(crate) async fn compressed_tls() -> World {
    let authority = Authority::new();
    let server = TlsServer::new(authority.identity(&["127.0.0.1"])).unwrap();
    let dialer = NetDialer::new().tls(TlsClient::new(authority.roots()));
    let listener = server.bind("tls://127.0.0.1:0").await.unwrap();
    let listener = Wrapped::new(listener, Compression::new());
    World::new(listener, Wrapped::new(dialer, Compression::new()))
}

/// A stream that nobody but this test knows, behind a wrapper of its own.
pub(crate) async fn of_ones_own() -> World {
    let listener = TcpListener::bind(&endpoint("tcp://127.0.0.1:0")).await;
    let listener = Wrapped::new(listener.unwrap(), crate::wrapping::mirrored());
    let dialer = Wrapped::new(TcpDialer::new(), crate::wrapping::mirrored());
    World::new(listener, dialer)
}

/// Streams that another part of the process hands over, and who waits for them.
async fn listener_of_ones_own() -> World {
    let (hand_over, handed_over) = mpsc::channel(16);
    let dialer = service_fn(move |endpoint: Endpoint| {
        let hand_over = hand_over.clone();
        async move {
            let (near, far) = tokio::io::duplex(64 * 1024);
            hand_over.send(far).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((near, Address::Other(endpoint.as_str().into())))
        }
    });
    let endpoint = endpoint("mem://inside");
    World::at(endpoint, HandedOver(handed_over), dialer, ())
}

struct HandedOver(mpsc::Receiver<DuplexStream>);

impl Listener for HandedOver {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Address)> {
        let stream = self.0.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((stream, Address::Other("a client".into())))
    }

    fn local_address(&self) -> Address {
        Address::Other("inside".into())
    }
}

async fn calls(world: World) {
    let channel = world.connect().await;
    let callers = (0..64).map(|caller| {
        let mut channel = channel.clone();
        tokio::spawn(async move {
            for at in 0..10 {
                let body = format!("{caller} {at}");
                let answer = channel.call(call("echo", body.clone())).await.unwrap();
                assert_eq!(answer.body().as_bytes(), &body);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        soon(caller).await.unwrap();
    }
}

async fn errors(world: World) {
    let mut channel = world.connect().await;
    let error = soon(channel.call(call("nonsense", ""))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unimplemented);
    assert!(error.to_string().contains("nonsense"), "{error}");
}

async fn cancel(world: World) {
    let mut channel = world.connect().await;
    let answer = channel.call(call("never", ""));
    soon(world.probe.until_started(1)).await;
    drop(answer);
    soon(world.probe.until_dropped(1)).await;
    soon(channel.call(call("echo", "after"))).await.unwrap();
}

async fn deadline(world: World) {
    let mut channel = world.connect().await;
    let mut request = call("never", "");
    request.cx_mut().set_timeout(Duration::from_millis(20));
    let error = soon(channel.call(request)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    soon(channel.call(call("echo", "after"))).await.unwrap();
}

async fn drain(world: World) {
    let mut channel = world.connect().await;
    let answer = channel.call(call("wait", "x"));
    soon(world.probe.until_started(1)).await;
    let server = world.server.clone();
    let draining = tokio::spawn(async move { server.drain().await });
    soon(channel.draining()).await;
    world.probe.ring();
    let answer = soon(answer).await.unwrap();
    assert_eq!(answer.body().as_bytes(), "x");
    soon(draining).await.unwrap();
    soon(channel.closed()).await;
}

async fn large_bodies(world: World) {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut noise = vec![0; 4 << 20];
    rng.fill(&mut noise);
    let text = b"the same again and again, ".repeat(200_000);
    let channel = world.connect().await;
    let callers = [noise, text, Vec::new()].map(|body| {
        let mut channel = channel.clone();
        tokio::spawn(async move {
            let answer = channel.call(call("echo", body.clone())).await.unwrap();
            assert!(*answer.body().as_bytes() == body);
        })
    });
    for caller in callers {
        soon(caller).await.unwrap();
    }
}

async fn duplex(world: World) {
    let mut channel = world.connect().await;
    let answer = soon(channel.call(call("back", "there and"))).await.unwrap();
    assert_eq!(answer.body().as_bytes(), "there and");
}

async fn hostile(world: World) {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut channel = world.connect().await;
    soon(channel.call(call("echo", "before"))).await.unwrap();
    for _ in 0..8 {
        let mut garbage = vec![0; rng.usize(1..10_000)];
        rng.fill(&mut garbage);
        let mut stream = world.raw().await;
        // The server may be faster, and gone.
        let _ = soon(stream.write_all(&garbage)).await;
        let _ = soon(stream.flush()).await;
        let mut told = Vec::new();
        let _ = soon(stream.read_to_end(&mut told)).await;
    }
    soon(channel.call(call("echo", "after"))).await.unwrap();
    assert_eq!(world.probe.started(), 2);
}

async fn address(world: World) {
    let channel = world.connect().await;
    let address = channel.address().unwrap();
    assert_eq!(address.to_string(), world.endpoint().as_str());
}

async fn leaving(world: World) {
    let channel = world.connect().await;
    soon(channel.handshaken()).await.unwrap();
    let left = world.server.peers().pop().unwrap();
    drop(channel);
    soon(left.closed()).await;
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}
