//! A server of one function. It needs no router, and its calls no name.

use steeple::{Channel, Error, Request, Server, router::service};
use tower::Service;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(service(shout)));

    let mut channel = Channel::connect(handle.address()).await?;
    let response = channel.call(Request::new("", "hello".into())).await?;
    println!("{:?}", response.body().as_bytes());
    assert_eq!(response.body().as_bytes(), "HELLO");

    handle.drain().await;
    serving.await?;
    Ok(())
}

async fn shout(text: String) -> Result<String, Error> {
    if text.is_empty() {
        return Err(Error::application(1, "nothing to shout"));
    }
    Ok(text.to_uppercase())
}
