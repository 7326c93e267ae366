//! Any stream can be a connection. This one is the standard input and output of a child process: the parent
//! starts itself again as its child, and calls it.

use std::{env, process::Stdio};

use steeple::{Connector, Error, Request, Response, conn::Builder, wire::Role};
use tokio::{io, process::Command};
use tower::{Service, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match env::args().nth(1).as_deref() {
        Some("child") => Ok(child().await?),
        _ => parent().await,
    }
}

async fn parent() -> Result<(), Box<dyn std::error::Error>> {
    let mut child = Command::new(env::current_exe()?)
        .arg("child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().expect("it is piped");
    let input = child.stdin.take().expect("it is piped");

    let mut channel = Connector::new().connect_io(io::join(output, input), None);
    let response = channel
        .call(Request::new("Reverse", "desserts".into()))
        .await?;
    println!("{:?}", response.body().as_bytes());
    assert_eq!(response.body().as_bytes(), "stressed");

    channel.drain().await;
    println!("the child ended with {}", child.wait().await?);
    Ok(())
}

/// Serves its one connection until the parent ends it. What it logs must not go to the standard output.
async fn child() -> Result<(), Error> {
    let stream = io::join(io::stdin(), io::stdout());
    let (_parent, connection) = Builder::new(Role::Acceptor).build(stream, service_fn(reverse));
    connection.await
}

async fn reverse(request: Request) -> Result<Response, Error> {
    let mut bytes = request.into_body().into_bytes().to_vec();
    bytes.reverse();
    Ok(Response::new(bytes.into()))
}
