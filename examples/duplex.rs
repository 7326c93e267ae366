//! Calls from the server to its clients: workers dial, sign on, and are then given work over the connections that they
//! made. So a worker needs no port, and may sit behind a firewall.

use std::sync::{Arc, Mutex};

use steeple::{Client, Connector, Error, Peer, Router, Server, ServerHandle, router::State};

/// Who has signed on.
type Workers = Arc<Mutex<Vec<Peer>>>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let workers = Workers::default();
    let router = Router::new()
        .route("SignOn", sign_on)
        .with_state(workers.clone());
    let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(router);

    let clients = [work(&server, "Ada").await?, work(&server, "Grace").await?];
    let at_work = workers.lock().unwrap().clone();
    assert_eq!(at_work.len(), clients.len());
    for (job, peer) in (1..=4u32).zip(at_work.iter().cycle()) {
        // A peer is a service like any other: a client can stand on it, under layers if need be.
        let done: String = Client::new(peer.clone()).call("Work", &job).await?;
        let who = peer.values().get::<String>().expect("it has signed on");
        println!("{who} says: {done}");
        assert_eq!(done, format!("job {job} was done by {who}"));
    }

    // Workers that go are noticed.
    drop(clients);
    for peer in at_work {
        peer.closed().await;
    }
    server.drain().await;
    Ok(())
}

/// Calls its caller back, within the call, and keeps what it learns with the connection.
async fn sign_on(State(workers): State<Workers>, peer: Peer) -> Result<(), Error> {
    let mut client = Client::new(peer.clone());
    let name: String = client.call("Name", &()).await?;
    client
        .notify("Welcome", format!("{name} has signed on"))
        .await?;
    peer.values().insert(name);
    workers.lock().unwrap().push(peer);
    Ok(())
}

/// A client that serves, as long as it lives.
async fn work(server: &ServerHandle, name: &'static str) -> Result<Client, Error> {
    let router = Router::new()
        .route("Name", move || name)
        .route("Welcome", |text: String| println!("{text}"))
        .route("Work", move |job: u32| {
            format!("job {job} was done by {name}")
        });
    let builder = Client::builder().connector(Connector::new().serve(router));
    let mut client = builder.connect(server.address()).await?;
    client.call::<()>("SignOn", &()).await?;
    Ok(client)
}
