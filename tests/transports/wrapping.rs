//! What is put around streams before their first frame.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{Ready, ready};
use steeple::{
    BoxError, Channel, Connector, Error, Execution, Kind, Options, Request, Response, Server,
    ServerHandle,
    transport::{Io, NetStream, Opened, Refused, Wrap},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tower::{Service, service_fn};

use crate::{
    support::{call, echo},
    world::{soon, told},
};

/// All bits of a stream turned over: as good as a cipher, for a test.
#[derive(Debug)]
pub(crate) struct Mirror<I>(I);

pub(crate) fn mirrored<I: Io>() -> impl Wrap<I, Io = Mirror<I>> + Sync {
    service_fn(
        |stream: Opened<I>| -> Ready<Result<Opened<Mirror<I>>, io::Error>> {
            ready(Ok(stream.map(Mirror)))
        },
    )
}

impl<I: AsyncRead + Unpin> AsyncRead for Mirror<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.0).poll_read(cx, buf);
        buf.filled_mut()[before..]
            .iter_mut()
            .for_each(|byte| *byte = !*byte);
        poll
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Mirror<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let turned: Vec<u8> = bytes.iter().take(64 * 1024).map(|byte| !byte).collect();
        Pin::new(&mut self.0).poll_write(cx, &turned)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Who the client says it is.
#[derive(Clone)]
struct Name(char);

/// Lets in whoever has a name but "x".
fn named<I: Io>() -> impl Wrap<I, Io = I> {
    service_fn(async |mut stream: Opened<I>| {
        let name = char::from(stream.io.read_u8().await?);
        if name == 'x' {
            return Err(BoxError::from(Refused::new(stream.io, "x is not wanted")));
        }
        stream.extensions.insert(Name(name));
        Ok(stream)
    })
}

fn says<I: Io>(name: char) -> impl Wrap<I, Io = I> {
    service_fn(move |mut stream: Opened<I>| async move {
        stream.io.write_all(&[name as u8]).await?;
        Ok::<_, io::Error>(stream)
    })
}

async fn serve_named(options: Options) -> ServerHandle {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.wrap(named()).options(options);
    let handle = server.handle();
    let who = service_fn(async |request: Request| {
        let name: &Name = request.connection().unwrap().get().unwrap();
        Ok::<_, Error>(Response::new(name.0.to_string().into()))
    });
    tokio::spawn(server.serve(who));
    handle
}

async fn connect_as(server: &ServerHandle, name: char) -> Channel {
    let connector = Connector::new().wrap(says(name));
    connector.connect(server.address()).await.unwrap()
}

#[tokio::test]
async fn a_handler_finds_what_the_wrapper_found_out() {
    let server = serve_named(Options::new()).await;
    for name in ['a', 'b'] {
        let mut channel = connect_as(&server, name).await;
        let answer = soon(channel.call(call("who", ""))).await.unwrap();
        assert_eq!(answer.body().as_bytes(), &name.to_string());
    }
}

#[tokio::test]
async fn a_refused_client_is_told_why_and_that_nothing_was_done() {
    let server = serve_named(Options::new()).await;
    let mut channel = connect_as(&server, 'x').await;
    let error = soon(channel.call(call("who", ""))).await.unwrap_err();
    assert!(told(&error).contains("x is not wanted"), "{}", told(&error));
    assert!(error.execution().is_safe_to_repeat(), "{error:?}");
    assert_eq!(server.stats().refusals, 1);
}

#[tokio::test]
async fn a_refused_server_is_told_why() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    let refuses = service_fn(async |stream: Opened<NetStream>| {
        Err::<Opened<NetStream>, _>(Refused::new(stream.io, "not this server"))
    });
    let connector = Connector::new().wrap(refuses);
    let error = soon(connector.connect(handle.address())).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Unreachable, Execution::NotSent)
    );
    assert!(told(&error).contains("not this server"), "{}", told(&error));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go_and_holds_up_nobody() {
    let timeout = Duration::from_millis(500);
    let server = serve_named(Options::new().handshake_timeout(timeout)).await;
    let address = server.address().to_string();
    let mut silent = TcpStream::connect(&address["tcp://".len()..])
        .await
        .unwrap();
    let mut channel = connect_as(&server, 'a').await;
    soon(channel.call(call("who", ""))).await.unwrap();
    let read = soon(silent.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn wrappers_nest_and_the_first_is_next_to_the_transport() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.wrap(mirrored()).wrap(named());
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    let connector = Connector::new().wrap(mirrored()).wrap(says('a'));
    let mut channel = connector.connect(handle.address()).await.unwrap();
    soon(channel.call(call("echo", "x"))).await.unwrap();
    // The other way round, the name is said in plain, and turned over where it is read.
    let connector = Connector::new().wrap(says(!b'x' as char)).wrap(mirrored());
    let mut channel = connector.connect(handle.address()).await.unwrap();
    let error = soon(channel.call(call("echo", "x"))).await.unwrap_err();
    assert!(told(&error).contains("x is not wanted"), "{}", told(&error));
}
