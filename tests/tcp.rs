//! TCP streams: their options on both sides, and what a failed dial says.

use std::{error::Error, io, time::Duration};

use socket2::SockRef;
use steeple::{
    Address, Endpoint,
    transport::{Listener, TcpDialer, TcpListener, TcpOptions},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tower::ServiceExt;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

async fn listen() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind(&endpoint("tcp://127.0.0.1:0"))
        .await
        .unwrap();
    let bound = endpoint(&listener.local_address().to_string());
    (listener, bound)
}

/// Both ends of one stream.
async fn connect(
    dialer: TcpDialer,
    listener: &mut TcpListener,
    endpoint: Endpoint,
) -> [(TcpStream, Address); 2] {
    let (dialled, accepted) = tokio::join!(dialer.oneshot(endpoint), listener.accept());
    [dialled.unwrap(), accepted.unwrap()]
}

async fn dial_error(text: &str) -> io::Error {
    TcpDialer::new().oneshot(endpoint(text)).await.unwrap_err()
}

/// A port that is taken, so that nobody else listens there, and does not listen either.
fn deaf_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn both_ends_of_a_stream_have_the_default_options() {
    let (mut listener, bound) = listen().await;
    for (stream, _) in connect(TcpDialer::new(), &mut listener, bound).await {
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 30);
            assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 30);
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), 128 * 1024);
        }
    }
}

#[tokio::test]
async fn both_ends_of_a_stream_have_the_options_that_were_chosen() {
    let options = TcpOptions::new()
        .nodelay(false)
        .keepalive(Duration::from_millis(10))
        .notsent_lowat(Some(4096));
    let (listener, bound) = listen().await;
    let mut listener = listener.options(options.clone());
    let dialer = TcpDialer::new().options(options);
    for (stream, _) in connect(dialer, &mut listener, bound).await {
        let socket = SockRef::from(&stream);
        assert!(!socket.tcp_nodelay().unwrap());
        #[cfg(target_os = "linux")]
        {
            // The shortest that the kernel can do.
            assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 1);
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), 4096);
        }
    }
}

#[tokio::test]
async fn keepalive_can_be_turned_off() {
    let dialer = TcpDialer::new().options(TcpOptions::new().keepalive(None));
    let (mut listener, bound) = listen().await;
    let [(stream, _), _] = connect(dialer, &mut listener, bound).await;
    assert!(!SockRef::from(&stream).keepalive().unwrap());
}

#[tokio::test]
async fn each_end_is_told_the_address_of_the_other() {
    let (mut listener, bound) = listen().await;
    let [(mut client, server_address), (mut server, client_address)] =
        connect(TcpDialer::new(), &mut listener, bound).await;
    assert_eq!(server_address, listener.local_address());
    assert_eq!(client_address, client.local_addr().unwrap().into());

    client.write_all(b"ping").await.unwrap();
    let mut bytes = [0; 4];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
}

#[tokio::test]
async fn a_listener_without_a_host_is_reached_as_localhost() {
    let mut listener = TcpListener::bind(&endpoint("tcp://:0")).await.unwrap();
    let Address::Tcp(address) = listener.local_address() else {
        panic!("a TCP listener has a TCP address")
    };
    let here = endpoint(&format!("tcp://:{}", address.port()));
    let [_, (_, client)] = connect(TcpDialer::new(), &mut listener, here).await;
    assert!(client.ip().unwrap().is_loopback(), "{client}");
}

#[tokio::test]
async fn a_refused_dial_names_the_endpoint_and_the_address_tried() {
    let (_socket, port) = deaf_port();
    for host in ["127.0.0.1", "localhost"] {
        let text = format!("tcp://{host}:{port}");
        let error = dial_error(&text).await;
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("cannot connect to {text} at ")),
            "{message}"
        );
        assert!(message.ends_with(&port.to_string()), "{message}");
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("refused"), "{cause}");
    }
}

#[tokio::test]
async fn a_host_that_does_not_resolve_is_named() {
    // A label of 64 letters is longer than any name has: no resolver is asked.
    let text = format!("tcp://{}:80", "x".repeat(64));
    let error = dial_error(&text).await;
    assert_eq!(
        error.to_string(),
        format!("cannot resolve the host of {text}")
    );
    assert!(error.source().is_some());
}

#[tokio::test]
async fn an_endpoint_of_another_scheme_is_refused_by_name() {
    let error = dial_error("mem://server").await;
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "mem://server is not a tcp:// endpoint");
    let error = TcpListener::bind(&endpoint("mem://server"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (_listener, bound) = listen().await;
    let error = TcpListener::bind(&bound).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("cannot listen on {bound}"));
}

#[tokio::test]
async fn an_accept_that_is_given_up_loses_no_client() {
    let (mut listener, bound) = listen().await;
    {
        let mut accept = tokio_test::task::spawn(listener.accept());
        tokio_test::assert_pending!(accept.poll());
    }
    let [(client, _), (_, accepted)] = connect(TcpDialer::new(), &mut listener, bound).await;
    assert_eq!(accepted, client.local_addr().unwrap().into());
}

#[tokio::test]
async fn a_tls_endpoint_is_not_reached_in_plain() {
    let error = dial_error("tls://127.0.0.1:1").await;
    assert_eq!(
        error.to_string(),
        "tls://127.0.0.1:1 is not a tcp:// endpoint"
    );
    let bound = TcpListener::bind(&endpoint("tls://127.0.0.1:0")).await;
    assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[cfg(unix)]
#[tokio::test]
async fn listeners_that_all_agree_share_a_port() {
    let options = || TcpOptions::new().reuse_port(true).backlog(8);
    let first = TcpListener::bind_with(&endpoint("tcp://127.0.0.1:0"), options()).await;
    let first = first.unwrap();
    let bound = endpoint(&first.local_address().to_string());
    let second = TcpListener::bind_with(&bound, options()).await.unwrap();
    assert_eq!(first.local_address(), second.local_address());
    let error = TcpListener::bind(&bound).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

// Other systems refuse whom they do not queue, or queue more than they are told.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_more_clients_than_the_backlog_wait_to_be_accepted() {
    const CLIENTS: usize = 32;
    let listen = async |backlog| {
        let options = TcpOptions::new().backlog(backlog);
        TcpListener::bind_with(&endpoint("tcp://127.0.0.1:0"), options)
            .await
            .unwrap()
    };
    let connect = |listener: &TcpListener| -> Vec<_> {
        let Address::Tcp(address) = listener.local_address() else {
            panic!("a TCP listener has a TCP address")
        };
        (0..CLIENTS)
            .map(|_| tokio::spawn(TcpStream::connect(address)))
            .collect()
    };
    let (short, long) = (listen(1).await, listen(CLIENTS as u32).await);
    let mut clients = connect(&short);
    // Who comes later and finds room is done when all are that ever find any.
    for client in connect(&long) {
        client.await.unwrap().unwrap();
    }
    clients.remove(0).await.unwrap().unwrap();
    let others = clients.iter().filter(|client| client.is_finished()).count();
    assert!(others <= 1, "{others} more");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_zone_says_through_which_interface() {
    // Here the loopback, by its number: of link-local addresses, which have names for zones, a host may have none.
    let Ok(listener) = TcpListener::bind(&endpoint("tcp://[::1]:0")).await else {
        return; // a host without IPv6
    };
    let Address::Tcp(address) = listener.local_address() else {
        panic!("a TCP listener has a TCP address")
    };
    let zoned = endpoint(&format!("tcp://[::1%1]:{}", address.port()));
    let (_stream, server) = TcpDialer::new().oneshot(zoned).await.unwrap();
    assert!(server.ip().unwrap().is_loopback());
}
