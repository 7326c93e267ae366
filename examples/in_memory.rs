//! A server and its client without a socket: for tests, and for services that share a process today and may
//! not tomorrow. In a project of your own this needs the feature `test`.

use steeple::{Connector, Error, Request, Response, Server, transport::mem::MemNetwork};
use tower::{Service, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The number is a seed: a test can add delays and faults, and they come out the same in each run.
    let network = MemNetwork::new(1);

    let server = Server::new(network.listen("shouter")?);
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(service_fn(shout)));

    let mut channel = Connector::new()
        .dialer(network.dialer("client"))
        .connect("mem://shouter")
        .await?;
    let response = channel.call(Request::new("Shout", "hello".into())).await?;
    println!("{:?}", response.body().as_bytes());
    assert_eq!(response.body().as_bytes(), "HELLO");

    handle.drain().await;
    serving.await?;
    Ok(())
}

async fn shout(request: Request) -> Result<Response, Error> {
    let loud = request.body().as_bytes().to_ascii_uppercase();
    Ok(Response::new(loud.into()))
}
