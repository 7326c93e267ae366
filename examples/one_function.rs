//! A server of one function. It needs no router, and its calls no name.

use steeple::{Client, Error, Server, router::service};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Server::bind("tcp://127.0.0.1:0")
        .await?
        .spawn(service(shout));

    let mut client = Client::connect(server.address()).await?;
    let answer: String = client.call("", "hello").await?;
    println!("{answer}");
    assert_eq!(answer, "HELLO");

    server.drain().await;
    Ok(())
}

async fn shout(text: String) -> Result<String, Error> {
    if text.is_empty() {
        return Err(Error::application(1, "nothing to shout"));
    }
    Ok(text.to_uppercase())
}
