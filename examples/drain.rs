//! A server that ends as it should: told to stop, it finishes what it has, but not for ever.

use std::time::Duration;

use steeple::{Body, Channel, Error, Request, Response, Server, ServerHandle};
use tokio::time::{sleep, timeout};
use tower::{Service, service_fn};

/// A little less than the time that an orchestrator leaves between asking and killing.
const PATIENCE: Duration = Duration::from_secs(25);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let handle = server.handle();
    tokio::spawn(async move {
        until_told_to_stop().await;
        stop(&handle).await;
    });
    let client = tokio::spawn(keep_calling(
        Channel::connect(server.local_address()).await?,
    ));

    server.serve(service_fn(work)).await;
    println!("the server has ended");
    client.await.expect("the client does not panic");
    Ok(())
}

/// Ctrl-C; and a moment later anyway, since this is an example.
async fn until_told_to_stop() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = sleep(Duration::from_millis(500)) => {}
    }
}

async fn stop(handle: &ServerHandle) {
    println!("draining {} connections", handle.peers().len());
    if timeout(PATIENCE, handle.drain()).await.is_err() {
        println!("some calls took too long");
        handle.close().await;
    }
}

async fn work(_: Request) -> Result<Response, Error> {
    sleep(Duration::from_millis(100)).await;
    Ok(Response::new(Body::from("done")))
}

/// No call is lost: each is answered, or was not begun and can go to another server.
async fn keep_calling(mut channel: Channel) {
    for call in 1.. {
        match channel.call(Request::new("Work", Body::empty())).await {
            Ok(_) => println!("call {call} was answered"),
            Err(error) => {
                println!("call {call} is {:?}: {error}", error.execution());
                assert!(error.execution().is_safe_to_repeat());
                return;
            }
        }
    }
}
