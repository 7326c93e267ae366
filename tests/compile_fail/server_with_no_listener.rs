//! A server of something that is not a listener of this crate.

use steeple::Server;

async fn run() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:7000").await.unwrap();
    let _server = Server::new(listener);
}

fn main() {
    drop(run());
}
