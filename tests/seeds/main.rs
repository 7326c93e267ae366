//! The printed examples of the libraries that steeple grew from: the same calls, by a `Client` of a `Router` over TCP,
//! print the same lines.

mod arpc;
mod gorpc;
mod net_rpc;

use std::future::Future;

use steeple::{Client, Error, RpcService, Server};

/// What `calls` print over a client of this service.
async fn printed<S, F>(service: S, calls: impl FnOnce(Client) -> F) -> String
where
    S: RpcService + Clone + Send + Sync + 'static,
    F: Future<Output = Result<String, Error>>,
{
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.spawn(service);
    let client = Client::connect(server.address()).await.unwrap();
    let lines = calls(client).await.unwrap();
    server.drain().await;
    lines
}

/// A result as a pair of a value and an error, of which one is nil.
fn pair<T: Show>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("{}, <nil>", value.show()),
        Err(error) => format!("<nil>, {error}"),
    }
}

/// How values look in these lines.
trait Show {
    fn show(&self) -> String;
}

impl Show for () {
    fn show(&self) -> String {
        "<nil>".into()
    }
}

impl Show for i64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for String {
    fn show(&self) -> String {
        self.clone()
    }
}

impl Show for Vec<String> {
    fn show(&self) -> String {
        format!("[{}]", self.join(" "))
    }
}
