//! Calls from the server to its clients: workers dial, and are then given work over the connections that they
//! made. So a worker needs no port, and may sit behind a firewall.

use steeple::{Channel, Connector, Error, Request, Response, Server, conn::Unserved};
use tower::{ServiceExt, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    // This server has no methods. It calls.
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(Unserved));

    let mut workers = Vec::new();
    for name in ["Ada", "Grace", "Mary"] {
        let worker = work(handle.address(), name).await?;
        // The server has accepted a connection once it has answered on it.
        worker.handshaken().await?;
        workers.push(worker);
    }

    // A peer is a service like a channel: it can stand under the same layers.
    for (job, peer) in handle.peers().into_iter().cycle().take(6).enumerate() {
        let request = Request::new("Work", format!("job {job}").into());
        let response = peer.oneshot(request).await?;
        println!("{:?}", response.body().as_bytes());
    }

    handle.drain().await;
    serving.await.expect("the server does not panic");
    Ok(())
}

/// A client that serves. It does so as long as its channel lives.
async fn work(server: &steeple::Address, name: &'static str) -> Result<Channel, Error> {
    let service = service_fn(move |request: Request| async move {
        let done = [
            request.body().as_bytes(),
            " was done by ".as_bytes(),
            name.as_bytes(),
        ];
        Ok::<_, Error>(Response::new(done.concat().into()))
    });
    Connector::new().serve(service).connect(server).await
}
