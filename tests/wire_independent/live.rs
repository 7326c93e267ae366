//! Two ends of a connection, and a reader of all that passes between them.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use steeple::{
    Body, Channel, Connector, Error, Kind, Options, Peer, Request, Response,
    conn::Builder,
    transport::mem::MemStream,
    wire::{Role, native::Native},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Service, service_fn};

use crate::{
    reader::read,
    specification::example,
    tapped::{Tap, Tapped},
};

/// Keeps a copy of what is written.
struct Recorded(Arc<Mutex<Vec<u8>>>);

impl Tap for Recorded {
    fn took(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend(bytes);
    }
}

async fn handle(request: Request) -> Result<Response, Error> {
    match request.method().as_str() {
        "echo" => Ok(Response::new(request.into_body())),
        "back" => {
            let connection = request.connection().unwrap();
            let mut peer = connection.get::<Peer>().unwrap().clone();
            peer.call(Request::new("echo", request.into_body())).await
        }
        "fail" => Err(Error::application(7, "no").with_details(0, *b"why")),
        "hang" => pending().await,
        other => Err(Error::new(Kind::Unimplemented, other.to_owned())),
    }
}

/// A client, its server, and what the two will have written.
fn session(capacity: usize) -> (Channel, [Arc<Mutex<Vec<u8>>>; 2]) {
    let (near, far) = MemStream::pair(capacity);
    let written = [Arc::default(), Arc::<Mutex<Vec<u8>>>::default()];
    let record = |inner, side: usize| Tapped {
        inner,
        tap: Recorded(written[side].clone()),
    };
    let (_, server) = Builder::new(Role::Acceptor)
        .wire(Native::default().send_causes(true))
        .build(record(far, 1), service_fn(handle));
    tokio::spawn(server);
    let connector = Connector::new()
        .options(Options::new().keepalive(None))
        .serve(service_fn(handle));
    (connector.connect_io(record(near, 0), None), written)
}

fn request(method: &'static str, len: usize) -> Request {
    Request::new(method, Body::from(vec![b'x'; len]))
}

/// The ids of all lines that begin with this word, in order.
fn ids(said: &[String], word: &str) -> Vec<u64> {
    let lines = said.iter().map(|line| line.split(' '));
    let mut ids: Vec<_> = lines
        .filter_map(|mut line| (line.next()? == word).then(|| line.next()?.parse().ok())?)
        .collect();
    ids.sort();
    ids
}

fn count(said: &[String], part: &str) -> usize {
    said.iter().filter(|line| line.contains(part)).count()
}

#[tokio::test(start_paused = true)]
async fn all_that_two_ends_say_is_understood_and_every_call_is_answered_once() {
    for capacity in [100, 64 * 1024, 1 << 20] {
        let (mut channel, written) = session(capacity);
        channel.call(request("echo", 5)).await.unwrap();
        channel.call(request("fail", 0)).await.unwrap_err();
        channel.call(request("unknown", 0)).await.unwrap_err();

        channel.notify(request("note", 3)).unwrap();

        let mut late = request("hang", 0);
        late.metadata_mut().insert("tenant", "A");
        late.cx_mut().set_timeout(Duration::from_secs(1));
        let error = channel.call(late).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Timeout);
        let dropped = channel.call(request("hang", 0));
        channel.ping().await.unwrap();
        drop(dropped);

        // Long ones take turns with short ones, in both directions; one is cut off in its midst.
        let answers = [
            channel.call(request("echo", 300_000)),
            channel.call(request("back", 200_000)),
            channel.call(request("echo", 1)),
        ];
        let cut = channel.call(request("echo", 5_000_000));
        while written[0].lock().unwrap().len() < 500_000 {
            tokio::task::yield_now().await;
        }
        drop(cut);
        for answer in answers {
            answer.await.unwrap();
        }
        channel.drain().await;

        let [client, server] = written.map(|bytes| read(&bytes.lock().unwrap()));
        assert_eq!(ids(&client, "call").len(), 9, "{client:#?}");
        assert_eq!(ids(&server, "call").len(), 1, "{server:#?}");
        for (calling, answering) in [(&client, &server), (&server, &client)] {
            let [asked, answered] = [ids(calling, "call"), ids(answering, "answer")];
            assert_eq!(asked, answered, "{calling:#?} {answering:#?}");
            assert!(asked.is_sorted_by(|a, b| a < b), "{calling:#?}");
        }
        for part in [
            "one way to",
            "in part",
            "cancel",
            "300000 bytes",
            "[tenant: [65]]",
            "ping",
            "farewell",
        ] {
            assert!(count(&client, part) > 0, "{part:?} in {client:#?}");
        }
        for part in [
            "300000 bytes",
            "200000 bytes",
            "\"no\" why",
            "pong",
            "farewell",
        ] {
            assert!(count(&server, part) > 0, "{part:?} in {server:#?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_example_of_the_specification_is_what_a_server_says() {
    let [asked, answered] = example();
    let (near, mut far) = MemStream::pair(1024);
    let (_, server) = Builder::new(Role::Acceptor).build(
        near,
        service_fn(async |request: Request| Ok::<_, Error>(Response::new(request.into_body()))),
    );
    tokio::spawn(server);
    far.write_all(&asked).await.unwrap();
    far.shutdown().await.unwrap();
    let mut said = Vec::new();
    far.read_to_end(&mut said).await.unwrap();
    // But for what its HELLO tells of its limits.
    let hello = u32::from_le_bytes(said[8..12].try_into().unwrap()) as usize;
    said.drain(24..24 + hello);
    said[8..12].fill(0);
    assert_eq!(said, answered);
}
