//! The whole road in one process: a server on a TCP socket, a stack of layers over one connection to it, and
//! whatever can happen to a call – 100 000 of them pipelined, errors, cancels, deadlines, large bodies, calls
//! in the other direction, and an orderly end.
//!
//! Every answer is checked. The exit status is 0 only if each was right, both sides have counted the
//! same, the writes were few and the whole was over in time.
//!
//! ```sh
//! cargo run --release --example quickstart
//! ```
//!
//! `api` is what both sides agree on, `service` the functions that they serve, and `acts` is what one does with a
//! client, a function for each act. `verdict` and `account` check and count, and have nothing to teach.

mod account;
mod acts;
mod api;
mod service;
mod verdict;

use std::{process::ExitCode, time::Duration};

use steeple::{Channel, Client, Connector, Error, Request, Response, Server, layers::TimeoutLayer};
use tokio::time::timeout;
use tower::{ServiceBuilder, util::BoxCloneService};

use crate::account::Account;

/// A stack of layers, whatever these are.
type Stack = BoxCloneService<Request, Response, Error>;

/// How long all of it may take: it is done in seconds, also where it is not optimized.
const LONGEST: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let Ok(result) = timeout(LONGEST, run()).await else {
        println!("\nWRONG: it is not over after {LONGEST:?}");
        return Ok(ExitCode::FAILURE);
    };
    result
}

async fn run() -> Result<ExitCode, Error> {
    // The server: bind, then serve in a task. The handle is what stops and watches it.
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let handle = server.handle();
    let limited = ServiceBuilder::new()
        .concurrency_limit(8192)
        .service(service::of_the_server());
    let serving = tokio::spawn(server.serve(limited));

    // The client: one connection, which also serves what the server calls, and a stack over it.
    let channel = Connector::new()
        .serve(service::of_the_client())
        .connect(handle.address())
        .await?;
    let client = Client::new(stack(channel.clone()));

    let mut account = Account::open(&channel, &handle);
    acts::pipelining(&client, &mut account).await;
    acts::computation(&client, &mut account).await;
    acts::application_errors(&client, &mut account).await;
    acts::cancelling(&client, &mut account).await;
    acts::deadlines(&client, &mut account).await;
    acts::large_bodies(&client, &mut account).await;
    acts::calls_from_the_server(&client, &mut account).await;
    acts::draining(&channel, &client, &handle, &mut account).await;

    serving.await.expect("the server does not panic");
    Ok(account.close())
}

/// The layers of the client, the outermost first. `Client::connect` puts a stack together that fits most.
fn stack(channel: Channel) -> Stack {
    let stack = ServiceBuilder::new()
        // A deadline that travels: the server stops working for a caller that has stopped waiting.
        .layer(TimeoutLayer::new(Duration::from_secs(20)))
        // tower's own: at most so many calls at once, over all clones of the stack.
        .concurrency_limit(1024)
        .service(channel);
    BoxCloneService::new(stack)
}
