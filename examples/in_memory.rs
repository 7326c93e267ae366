//! A server and its client without a socket: for tests, and for services that share a process today and may
//! not tomorrow. In a project of your own this needs the feature `test`.

use steeple::{Client, Connector, Error, Router, Server, transport::mem::MemNetwork};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The number is a seed: a test can add delays and faults, and they come out the same in each run.
    let network = MemNetwork::new(1);
    network.link("client", "shouter").torn();

    let server = Server::new(network.listen("shouter")?).spawn(router());

    let connector = Connector::new().dialer(network.dialer("client"));
    let mut client = Client::builder()
        .connector(connector)
        .connect("mem://shouter")
        .await?;
    assert_eq!(
        shouted(client.call("Shout", "over a network").await)?,
        "OVER A NETWORK"
    );
    server.drain().await;

    // A router is a service: without any network it answers a client too.
    let mut client = Client::new(router());
    assert_eq!(
        shouted(client.call("Shout", "over nothing").await)?,
        "OVER NOTHING"
    );
    Ok(())
}

fn router() -> Router {
    Router::new().route("Shout", |text: String| text.to_uppercase())
}

fn shouted(answer: Result<String, Error>) -> Result<String, Error> {
    answer.inspect(|text| println!("{text}"))
}
