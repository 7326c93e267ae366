//! A server over a service whose error cannot become an `Error`.

use steeple::{Error, Request, Response, Server};
use tower::service_fn;

#[derive(Debug)]
struct Mine;

async fn run() -> Result<(), Error> {
    let server = Server::bind("tcp://127.0.0.1:7000").await?;
    server
        .serve(service_fn(async |_: Request| Err::<Response, _>(Mine)))
        .await;
    Ok(())
}

fn main() {
    drop(run());
}
