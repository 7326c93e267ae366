//! A server with one method, and a client that calls it: the code of the README in one process.

use std::time::Duration;

use steeple::{Client, Error, Router, Server};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let router = Router::new().route("Hello", hello);
    let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(router);

    let mut client = Client::connect(server.address()).await?;
    for name in ["world", ""] {
        let answer = client.call::<String>("Hello", name);
        match answer.timeout(Duration::from_secs(2)).await {
            Ok(greeting) => {
                println!("{greeting}");
                assert_eq!(greeting, "Hello, world!");
            }
            Err(error) => {
                println!("{}: {error}", error.kind());
                assert_eq!(
                    error.as_application().expect("it is the handler's").code(),
                    1
                );
            }
        }
    }

    server.drain().await;
    Ok(())
}

async fn hello(name: String) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::application(1, "who are you?"));
    }
    Ok(format!("Hello, {name}!"))
}
