//! A balancer of your own: a function from the members and the call to one of them.
//!
//! This one sends the calls of one customer to one server as long as that is not busy, so that its cache is warm.

use steeple::{
    Client, Connector, Endpoint, Error, Server,
    layers::{
        BalanceLayer, Replicas, RetryLayer, TimeoutLayer,
        balance::{Choice, pick_fn},
        resolve::Fixed,
    },
    router::Router,
};
use tower::ServiceBuilder;

/// A server with more calls than this is busy.
const BUSY: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut endpoints = Vec::new();
    for name in ["first", "second"] {
        let server = Server::bind("tcp://127.0.0.1:0").await?;
        endpoints.push(Endpoint::try_from(server.local_address())?);
        let router = Router::new().route("Who", async move || name.to_owned());
        tokio::spawn(server.serve(router));
    }

    let loyal = pick_fn(|members, cx| {
        let home = cx.shard_key().unwrap_or_else(|| cx.seed().into()) as usize % members.len();
        // Another attempt goes to another server, and so does a call whose server is busy.
        let tried = home + cx.attempt() as usize;
        let mut places = (tried..tried + members.len()).map(|place| place % members.len());
        let free = places.find(|place| members[*place].pending() < BUSY);
        free.map_or(Choice::Wait, Choice::Member)
    });
    let replicas = Replicas::new(Fixed::new(endpoints)?, Connector::new());
    let stack = ServiceBuilder::new()
        .layer(TimeoutLayer::default())
        .layer(RetryLayer::default())
        .layer(BalanceLayer::new(loyal))
        .service(replicas.clone());

    let mut client = Client::new(stack);
    for customer in [1, 2, 1, 2] {
        let who: String = client.call("Who", &()).shard_key(customer).await?;
        println!("customer {customer} was served by the {who} server");
    }
    replicas.drain().await;
    Ok(())
}
