//! Little that decompresses to a lot, sent to a server that others use.

use std::{
    io::{self, Write},
    iter, mem,
    sync::{Arc, Mutex},
};

use steeple::{
    Channel, Connector, Server, ServerHandle,
    transport::{
        Algorithm, Compression,
        mem::{MemNetwork, MemStream},
    },
    wire::numbers::{kind, offer, preface, reason, total},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{self, Runtime},
    sync::oneshot,
    task::JoinHandle,
};
use tower::Service;

use crate::{
    support::{Frame, RawPeer, call, data, echo, hello, magic, request, settle},
    world::{soon, told},
};

/// What a bomb becomes, if one lets it.
const LARGE: usize = 32 << 20;

/// Zeros in one frame.
const PIECE: usize = 120 * 1024;

/// What a client says that means harm: first its opening, then the rest.
struct Bomb {
    number: u8,
    opening: Vec<u8>,
    rest: Vec<u8>,
    refusal: &'static str,
    /// What it may take of memory before it is refused, with all else that goes on. A decompressor of zstd is not
    /// counted, for it is not Rust's: its window bounds it.
    memory: u64,
}

/// What a compressor has written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Bomb {
    /// One frame, and then another as often as it takes.
    fn new(algorithm: Algorithm, first: &Frame, again: &Frame, memory: u64) -> Self {
        let written = Written::default();
        let (number, refusal, mut encoder) = encoder(algorithm, written.clone());
        let mut all = |frames: &mut dyn Iterator<Item = Vec<u8>>| {
            frames.for_each(|frame| encoder.write_all(&frame).unwrap());
            encoder.flush().unwrap();
            mem::take(&mut *written.0.lock().unwrap())
        };
        let preface = magic(preface::MAX_VERSION, preface::MIN_VERSION).to_vec();
        let opening = all(&mut [preface, hello().encode()].into_iter());
        let again = iter::repeat_n(again.encode(), LARGE / PIECE);
        let rest = all(&mut iter::once(first.encode()).chain(again));
        let times = LARGE / rest.len();
        assert!(times > 900, "{algorithm:?} makes {times} times less of it");
        Self {
            number,
            opening,
            rest,
            refusal,
            memory,
        }
    }

    /// Of frames that mean nothing, and of a call whose body is kept until it is refused.
    fn all(algorithm: Algorithm) -> [Self; 2] {
        let zeros = [0; PIECE];
        let nothing = Frame::new(kind::PAD, 0).body(zeros);
        let begun = request(2, "echo").of_total(total::UNKNOWN);
        [
            Self::new(algorithm, &nothing, &nothing, 1 << 20),
            Self::new(algorithm, &begun, &data(2, &zeros), 8 << 20),
        ]
    }
}

/// A compressor with its number, and what ends those that go too far with it.
fn encoder(algorithm: Algorithm, to: Written) -> (u8, &'static str, Box<dyn Write>) {
    match algorithm {
        Algorithm::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(to, 1).unwrap();
            let window = zstd::stream::raw::CParameter::WindowLog(15);
            encoder.set_parameter(window).unwrap();
            (offer::ZSTD, "more than 2048 times", Box::new(encoder))
        }
        _ => {
            let best = flate2::Compression::best();
            let encoder = flate2::write::DeflateEncoder::new(to, best);
            (offer::DEFLATE, "more than 512 times", Box::new(encoder))
        }
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server whose connections may be compressed, and a client who goes on calling.
struct Town {
    network: MemNetwork,
    server: ServerHandle,
    good: Channel,
    life: JoinHandle<usize>,
    stop: oneshot::Sender<()>,
}

impl Town {
    async fn new() -> Self {
        let network = MemNetwork::new(3);
        let server = Server::new(network.listen("server").unwrap());
        let server = server.wrap(Compression::new()).spawn(echo());
        let connector = Connector::new().dialer(network.dialer("good"));
        let connector = connector.wrap(Compression::new());
        let good = connector.connect("mem://server").await.unwrap();
        good.handshaken().await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let life = tokio::spawn(live(good.clone(), stopped));
        Self {
            network,
            server,
            good,
            life,
            stop,
        }
    }

    /// What the server says of the connection on which this goes off: here, and to who has sent it.
    async fn hit_by(&self, bomb: &Bomb) -> [String; 2] {
        let mut stream: MemStream = self.network.connect("bad", "server").await.unwrap();
        let [a, b, c, d, e] = offer::MAGIC;
        let offered = [a, b, c, d, e, offer::VERSION, bomb.number, offer::PLAIN];
        stream.write_all(&offered).await.unwrap();
        let mut answer = [0; offer::LEN];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, offered);
        stream.write_all(&bomb.opening).await.unwrap();
        while self.server.peers().len() < 2 {
            settle().await;
        }
        let mut enemy = self.server.peers().pop().unwrap();
        // What ends the connection ends this call.
        let witness = enemy.call(call("never", ""));
        // The server may be gone before it has taken all.
        let _ = stream.write_all(&bomb.rest).await;
        let said = told(&witness.await.unwrap_err());
        let mut bad = RawPeer::new(stream);
        bad.expect_greeting().await;
        let farewell = loop {
            let frame = bad.message().await;
            if frame.kind == kind::GOAWAY {
                break frame;
            }
        };
        assert_eq!(farewell.code, reason::PROTOCOL);
        [said, String::from_utf8(farewell.body).unwrap()]
    }

    async fn ends_well(mut self) {
        let _ = self.stop.send(());
        let calls = soon(self.life).await.unwrap();
        assert!(calls > 0, "the good client made no call meanwhile");
        soon(self.good.call(call("echo", "bye"))).await.unwrap();
        soon(self.server.drain()).await;
    }
}

/// Calls, one after the other, until it is stopped.
async fn live(mut channel: Channel, mut stopped: oneshot::Receiver<()>) -> usize {
    let mut calls = 0;
    while stopped.try_recv().is_err() {
        let body = vec![calls as u8; 1000];
        let answer = channel.call(call("echo", body.clone())).await.unwrap();
        assert_eq!(answer.body().as_bytes(), &body);
        calls += 1;
        settle().await;
    }
    calls
}

fn runtime() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

fn goes_off(algorithm: Algorithm) {
    for bomb in Bomb::all(algorithm) {
        let mut said = [const { String::new() }; 2];
        let counted = allocation_counter::measure(|| {
            said = runtime().block_on(async {
                let town = Town::new().await;
                let said = soon(town.hit_by(&bomb)).await;
                town.ends_well().await;
                said
            });
        });
        let heard = said.iter().all(|said| said.contains(bomb.refusal));
        assert!(heard, "{said:?}");
        let most = counted.bytes_max;
        assert!(most < bomb.memory, "{most} bytes of {}", bomb.memory);
    }
}

#[test]
fn a_bomb_of_zstd_ends_its_own_connection_and_takes_little_memory() {
    goes_off(Algorithm::Zstd);
}

#[test]
fn a_bomb_of_deflate_ends_its_own_connection_and_takes_little_memory() {
    goes_off(Algorithm::Deflate);
}
