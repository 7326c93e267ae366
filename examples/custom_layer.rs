//! A layer of one's own: it counts the calls of each method, and those that failed. It stands over a client and over a
//! router alike, for both are services from a request to a response. Among others it is a line in a `ServiceBuilder`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::BoxFuture};
use steeple::{Client, Error, Request, Response, Router, Server};
use tower::{Layer, Service};

/// Calls and failures by method.
type Counts = Arc<Mutex<BTreeMap<String, (u64, u64)>>>;

#[derive(Clone, Default)]
struct CountLayer(Counts);

#[derive(Clone)]
struct Count<S>(S, Counts);

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count(inner, self.0.clone())
    }
}

impl<S> Service<Request> for Count<S>
where
    S: Service<Request, Response = Response, Error = Error, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Error;
    // A future of its own would save the box.
    type Future = BoxFuture<'static, Result<Response, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (counts, method) = (self.1.clone(), request.method().to_string());
        let count = move |answer: &Result<_, _>| {
            let mut counts = counts.lock().unwrap();
            let (calls, failures) = counts.entry(method).or_default();
            *calls += 1;
            *failures += u64::from(answer.is_err());
        };
        self.0.call(request).inspect(count).boxed()
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (at_client, at_server) = (CountLayer::default(), CountLayer::default());
    let router = Router::new().route("Fail", |code: u16| match code {
        0 => Ok(()),
        _ => Err(Error::application(code, "as you wish")),
    });
    let server = Server::bind("tcp://127.0.0.1:0")
        .await?
        .spawn(at_server.layer(router));

    let connection = Client::connect(server.address()).await?.into_service();
    let mut client = Client::new(at_client.layer(connection));
    for code in [0, 7, 0u16] {
        let failed = client.call::<()>("Fail", &code).await.is_err();
        assert_eq!(failed, code != 0);
    }

    for (side, CountLayer(counts)) in [("client", at_client), ("server", at_server)] {
        let counts = counts.lock().unwrap();
        println!("{side}: calls and failures {counts:?}");
        assert_eq!(counts["Fail"], (3, 1));
    }
    server.drain().await;
    Ok(())
}
