//! Calls that leave together: collected by several tasks, sent in one write, each with an answer of its own.

use std::{sync::Arc, time::Duration};

use steeple::{Channel, Client, Error, Router, Server};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let router = Router::new().route("Square", |n: u64| n * n);
    let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(router);
    // Over a connection of our own, which counts its writes; `Client::connect` is as good.
    let channel = Channel::connect(server.address()).await?;
    channel.handshaken().await?;
    let client = Client::new(channel);

    // Several tasks add calls. Each has an item, where the answer will be.
    let batch = Arc::new(client.batch());
    let adding: Vec<_> = (0..4)
        .map(|task| {
            let batch = batch.clone();
            tokio::spawn(async move {
                let numbers = task * 100..(task + 1) * 100;
                let items = numbers.map(|n: u64| batch.call::<u64>("Square", &n));
                items.collect::<Result<Vec<_>, _>>()
            })
        })
        .collect();
    let mut items = Vec::new();
    for added in adding {
        items.extend(added.await.expect("no task panics")?);
    }
    batch.notify("Square", &1)?;

    let before = client.service().stats();
    batch.run().timeout(Duration::from_secs(1)).await?;
    let writes = client.service().stats().write_calls - before.write_calls;
    println!("{} calls and a message, in {writes} write(s)", items.len());

    for (n, item) in (0..).zip(items) {
        assert_eq!(item.take()?, n * n);
    }
    server.drain().await;
    Ok(())
}
