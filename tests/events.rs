//! What the crate tells a subscriber: by targets that a filter can name.

use std::{
    fmt::{self, Write},
    sync::Mutex,
};

use steeple::{Client, Connector, Server, conn::Excess, events, transport::mem::MemNetwork};
use support::{Probe, RawPeer, call, hello, settle, soon};
use tower::Service;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

#[path = "support/mod.rs"]
mod support;

/// All events of this process, as lines.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps events of this crate.
struct Keeper;

/// A line of an event.
struct Line(String);

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("steeple")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}", metadata.level(), metadata.target()));
        event.record(&mut line);
        SEEN.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        }
        .unwrap();
    }
}

/// Takes note that an event with these parts was seen.
fn expect(level: Level, target: &str, parts: &[&str]) {
    let seen = SEEN.lock().unwrap();
    let begin = format!("{level} {target} ");
    let fits =
        |line: &&String| line.starts_with(&begin) && parts.iter().all(|part| line.contains(part));
    assert!(
        seen.iter().any(|line| fits(&line)),
        "{begin}{parts:?} is not among\n{}",
        seen.join("\n")
    );
}

// One test, since a process has one subscriber.
#[tokio::test(start_paused = true)]
async fn what_happens_is_told_under_its_target() {
    tracing::subscriber::set_global_default(Keeper).unwrap();
    let network = MemNetwork::new(1);
    let server = Server::new(network.listen("server").unwrap()).max_connections(2, Excess::Refuse);
    let handle = server.handle();
    tokio::spawn(server.serve(Probe::default().service()));
    let connector = Connector::new().dialer(network.dialer("client"));

    connector.connect("mem://nowhere").await.unwrap_err();
    expect(
        Level::DEBUG,
        events::CLIENT,
        &["a dial failed", "mem://nowhere"],
    );
    let mut channel = connector.connect("mem://server").await.unwrap();
    expect(
        Level::DEBUG,
        events::CLIENT,
        &["dialled", "address=mem://server"],
    );
    soon(channel.call(call("echo", "secret"))).await.unwrap();
    expect(Level::INFO, events::SERVER, &["Serving"]);
    expect(
        Level::DEBUG,
        events::SERVER,
        &["accepted", "address=mem://client"],
    );
    expect(
        Level::DEBUG,
        events::CONN,
        &["the peer has opened", "agent="],
    );
    soon(channel.call(call("panic", ""))).await.unwrap_err();
    expect(
        Level::ERROR,
        events::HANDLER,
        &["a handler panicked", "boom"],
    );

    let rude = network.connect("rude", "server").await.unwrap();
    let mut rude = RawPeer::new(rude);
    rude.shake_hands().await;
    let one_too_many = network.connect("late", "server").await.unwrap();
    RawPeer::new(one_too_many).drink().await;
    expect(
        Level::WARN,
        events::SERVER,
        &["a connection was refused", "mem://late", "max_connections"],
    );
    rude.send(hello()).await;
    rude.drink().await;
    drop(rude);
    settle().await;
    expect(
        Level::WARN,
        events::CONN,
        &["the connection is given up", "role=Acceptor", "HELLO"],
    );
    expect(
        Level::DEBUG,
        events::SERVER,
        &["a connection was lost", "mem://rude"],
    );

    let mut client = Client::builder()
        .connector(connector)
        .connect_lazy("mem://server")
        .unwrap();
    let fail = async |client: &mut Client| {
        let answer = client.request::<()>(call("panic", ""));
        soon(answer).await.unwrap_err();
    };
    drop(channel);
    settle().await;
    for connections in 1..=2 {
        fail(&mut client).await;
        let seen = SEEN.lock().unwrap().join("\n");
        let connected = seen.matches("live address=\"mem://server\"").count();
        assert_eq!(connected, connections, "{seen}");
        soon(handle.peers()[0].drain()).await;
    }

    soon(handle.drain()).await;
    settle().await;
    expect(
        Level::DEBUG,
        events::CONN,
        &["a connection drains", "role=Acceptor"],
    );
    expect(
        Level::DEBUG,
        events::CONN,
        &["the peer goes away", "Shutdown"],
    );
    expect(Level::INFO, events::SERVER, &["Draining"]);
    expect(Level::INFO, events::SERVER, &["Closed"]);

    // A filter that silences `steeple` silences all of them.
    let seen = SEEN.lock().unwrap();
    let targets = [
        events::CALL,
        events::CLIENT,
        events::REPLICAS,
        events::SERVER,
        events::CONN,
        events::HANDLER,
        events::TRANSPORT,
        events::WIRE,
    ];
    assert!(targets.iter().all(|target| target.starts_with("steeple::")));
    for line in seen.iter() {
        assert!(targets.contains(&line.split(' ').nth(1).unwrap()), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
}
