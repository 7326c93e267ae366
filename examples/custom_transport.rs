//! A transport of one's own: before the first frame, each client has to prove that it knows a secret, over
//! streams that another part of the process hands over. Who does not is told so and goes.
//!
//! The proof is an HMAC of a challenge that the server draws for each connection. It says who begins, and hides nothing of
//! what follows: over a network, it belongs inside of TLS.

use std::io;

use ring::{
    digest, hmac,
    rand::{self, SystemRandom},
};
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
    let server = Server::new(listener).wrap(challenge(key("open sesame")));
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
        let connector = Connector::new().dialer(dialer).wrap(response(key(secret)));
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

/// Bytes of a challenge: too many for one to come twice.
const CHALLENGE: usize = 32;

/// The server's part: a challenge that nobody has seen before, and whether the answer was made with the secret.
fn challenge<I: Io>(secret: hmac::Key) -> impl Wrap<I, Io = I> {
    service_fn(move |mut stream: Opened<I>| {
        let secret = secret.clone();
        async move {
            let challenge = rand::generate::<[u8; CHALLENGE]>(&SystemRandom::new());
            let challenge = challenge.map_err(|_| "the system gives no random bytes")?;
            let challenge = challenge.expose();
            stream.io.write_all(&challenge).await?;
            stream.io.flush().await?;
            let mut proof = [0; digest::SHA256_OUTPUT_LEN];
            stream.io.read_exact(&mut proof).await?;
            // In a time that does not tell how much of it was right.
            match hmac::verify(&secret, &challenge, &proof) {
                Ok(()) => Ok(stream),
                Err(_) => Err(BoxError::from(Refused::new(
                    stream.io,
                    "the secret is another",
                ))),
            }
        }
    })
}

/// The client's part.
fn response<I: Io>(secret: hmac::Key) -> impl Wrap<I, Io = I> {
    service_fn(move |mut stream: Opened<I>| {
        let secret = secret.clone();
        async move {
            let mut challenge = [0; CHALLENGE];
            stream.io.read_exact(&mut challenge).await?;
            let proof = hmac::sign(&secret, &challenge);
            stream.io.write_all(proof.as_ref()).await?;
            stream.io.flush().await?;
            Ok::<_, io::Error>(stream)
        }
    })
}

/// What both sides make of the words that they share. Words that people choose want a slow hash before this.
fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
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
