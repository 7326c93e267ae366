//! A transport of one's own: before the first frame, each client has to prove that it knows a secret, over
//! streams that another part of the process hands over. Who does not is told so and goes.

use std::io;

use steeple::{
    Address, BoxError, Channel, Connector, Endpoint, Error, Request, Response, Server,
    transport::{Io, Listener, Opened, Refused, Wrap},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tower::{Service, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (dial, listener) = exchange();
    let server = Server::new(listener).wrap(challenge("open sesame"));
    let handle = server.handle();
    tokio::spawn(server.serve(service_fn(|request: Request| async move {
        Ok::<_, Error>(Response::new(request.into_body()))
    })));

    let connect = async |secret: &'static str| -> Result<Channel, Error> {
        let dial = dial.clone();
        let dialer = service_fn(move |endpoint: Endpoint| {
            let dial = dial.clone();
            async move {
                let (near, far) = tokio::io::duplex(64 * 1024);
                dial.send(far).await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((near, Address::Other(endpoint.as_str().into())))
            }
        });
        let connector = Connector::new().dialer(dialer).wrap(response(secret));
        connector.connect("mem://inside").await
    };
    let mut friend = connect("open sesame").await?;
    let answer = friend.call(Request::new("Echo", "friend".into())).await?;
    println!("{:?} is let in", answer.body().as_bytes());
    let mut stranger = connect("open barley").await?;
    let error = stranger.call(Request::new("Echo", "stranger".into())).await;
    let error = error.expect_err("it does not know the secret");
    println!("a stranger is told: {error}");
    assert!(error.to_string().contains("the secret is another"));

    handle.drain().await;
    Ok(())
}

/// The server's part: a number that nobody has seen before, and the only answer to it.
fn challenge<I: Io>(secret: &'static str) -> impl Wrap<I, Io = I> {
    service_fn(move |mut stream: Opened<I>| async move {
        let nonce = fastrand::u64(..);
        stream.io.write_u64(nonce).await?;
        stream.io.flush().await?;
        let proof = stream.io.read_u64().await?;
        match proof == prove(secret, nonce) {
            true => Ok(stream),
            false => Err(BoxError::from(Refused::new(
                stream.io,
                "the secret is another",
            ))),
        }
    })
}

/// The client's part.
fn response<I: Io>(secret: &'static str) -> impl Wrap<I, Io = I> {
    service_fn(move |mut stream: Opened<I>| async move {
        let nonce = stream.io.read_u64().await?;
        stream.io.write_u64(prove(secret, nonce)).await?;
        stream.io.flush().await?;
        Ok::<_, io::Error>(stream)
    })
}

/// Stands in for a real keyed hash (an HMAC), which an example has no need of.
fn prove(secret: &str, nonce: u64) -> u64 {
    let seed = secret.bytes().fold(nonce, |sum, byte| {
        sum.rotate_left(9).wrapping_mul(31) ^ u64::from(byte)
    });
    fastrand::Rng::with_seed(seed).u64(..)
}

/// Streams, as they are handed over.
struct HandedOver(mpsc::Receiver<DuplexStream>);

/// The two sides of a place where streams are handed over.
fn exchange() -> (mpsc::Sender<DuplexStream>, HandedOver) {
    let (dial, incoming) = mpsc::channel(16);
    (dial, HandedOver(incoming))
}

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
