//! That what is to be secret or small on the wire is: what somebody sees who sits between the two sides.

use std::{
    io,
    sync::{Arc, Mutex},
};

use steeple::{Endpoint, wire::numbers::offer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tower::Service;

use crate::{
    conformance::{
        compressed_tcp, compressed_tls, deflated_tcp, mutual_tls, of_ones_own, tcp, tls,
    },
    support::call,
    world::{World, soon},
};

/// What is said, in both directions.
const WORDS: &str = "between the two of us, ";

/// A body with [`WORDS`], which compresses well.
const LENGTH: usize = 200_000;

/// The type of a TLS record with a handshake.
const HANDSHAKE: u8 = 0x16;

/// What the client and the server have said.
pub(crate) struct Heard([Vec<u8>; 2]);

impl Heard {
    /// All of a call that goes over this transport.
    pub(crate) async fn over(world: &World) -> Self {
        let heard: [Arc<Mutex<Vec<u8>>>; 2] = Default::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let between = listener.local_addr().unwrap();
        let scheme = world.endpoint().scheme();
        let there = world.port();
        let notes = heard.clone();
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(there).await.unwrap();
            let [(from_client, to_client), (from_server, to_server)] =
                [client.into_split(), server.into_split()];
            let [of_client, of_server] = notes;
            tokio::spawn(pass_on(from_client, to_server, of_client));
            tokio::spawn(pass_on(from_server, to_client, of_server));
        });
        let endpoint: Endpoint = format!("{scheme}://{between}").parse().unwrap();
        let mut channel = world.connect_to(endpoint).await;
        let body = WORDS.repeat(LENGTH / WORDS.len());
        let answer = soon(channel.call(call("echo", body.clone())));
        assert!(answer.await.unwrap().body().as_bytes() == &body);
        Self(heard.map(|heard| heard.lock().unwrap().clone()))
    }

    /// What the client has said.
    pub(crate) fn of_client(&self) -> &[u8] {
        &self.0[0]
    }

    /// Whether the words are heard, from the client and from the server.
    fn are_words(&self) -> [bool; 2] {
        self.0.each_ref().map(|bytes| {
            let words = WORDS.as_bytes();
            bytes.windows(words.len()).any(|window| window == words)
        })
    }

    fn begin_with(&self, bytes: &[u8]) -> bool {
        self.0.iter().all(|heard| heard.starts_with(bytes))
    }

    fn are_small(&self) -> bool {
        self.0.iter().all(|heard| heard.len() < LENGTH / 20)
    }
}

async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    heard: Arc<Mutex<Vec<u8>>>,
) -> io::Result<()> {
    let mut some = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut some).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        heard.lock().unwrap().extend_from_slice(&some[..read]);
        to.write_all(&some[..read]).await?;
    }
}

#[tokio::test]
async fn in_plain_all_is_heard() {
    let heard = Heard::over(&tcp().await).await;
    assert_eq!(heard.are_words(), [true, true]);
    assert!(!heard.are_small());
}

#[tokio::test]
async fn of_tls_nothing_is_heard() {
    for world in [tls().await, mutual_tls().await] {
        let heard = Heard::over(&world).await;
        assert!(heard.begin_with(&[HANDSHAKE]));
        assert_eq!(heard.are_words(), [false, false]);
        assert!(!heard.are_small());
    }
}

#[tokio::test]
async fn what_is_compressed_is_small() {
    for (world, algorithm) in [
        (compressed_tcp().await, offer::ZSTD),
        (deflated_tcp().await, offer::DEFLATE),
    ] {
        let heard = Heard::over(&world).await;
        assert!(heard.begin_with(&offer::MAGIC));
        // Both sides say the algorithm; behind it the client says what it takes, and the server what it does.
        assert!(heard.0.iter().all(|bytes| bytes[6] == algorithm));
        assert_eq!(heard.0[1][7], algorithm);
        assert!(heard.are_small());
    }
}

#[tokio::test]
async fn what_is_compressed_in_tls_is_small_and_not_heard() {
    let heard = Heard::over(&compressed_tls().await).await;
    assert!(heard.begin_with(&[HANDSHAKE]));
    assert_eq!(heard.are_words(), [false, false]);
    assert!(heard.are_small());
}

#[tokio::test]
async fn a_wrapper_of_ones_own_is_around_all_that_is_said() {
    let heard = Heard::over(&of_ones_own().await).await;
    assert_eq!(heard.are_words(), [false, false]);
    let turned = Heard(
        heard
            .0
            .map(|bytes| bytes.iter().map(|byte| !byte).collect()),
    );
    assert_eq!(turned.are_words(), [true, true]);
}
