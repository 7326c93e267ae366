//! The road that most take: a `Client` with its default stack, a `Router`, and a `Server` between them.

#[path = "../support/mod.rs"]
mod support;

mod directions;
mod errors;
mod protocol;
mod stuck;

use steeple::{
    Client, Connector, Router, RpcService, Server, ServerHandle, transport::mem::MemNetwork,
};

/// A client of a server in memory. Each serves the other.
async fn connect<S>(server: Router, client: S) -> (Client, ServerHandle)
where
    S: RpcService<Future: Send> + Clone + Send + 'static,
{
    let network = MemNetwork::new(1);
    let listener = network.listen("server").unwrap();
    let serving = Server::new(listener);
    let handle = serving.handle();
    tokio::spawn(serving.serve(server));
    let connector = Connector::new()
        .dialer(network.dialer("client"))
        .serve(client);
    let builder = Client::builder().connector(connector);
    let client = builder.connect("mem://server").await.unwrap();
    (client, handle)
}
