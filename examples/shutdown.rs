//! A server that ends as it should: told to stop, it first says that it wants no more clients, then finishes what
//! it has, but not for ever. No call is lost.

use std::time::Duration;

use steeple::{Body, Channel, Error, Options, Request, Response, Server, Stopped};
use tokio::time::sleep;
use tower::{Service, service_fn};

/// What a balancer needs to see that a server is not ready. A real one: a few seconds.
const LAME_DUCK: Duration = Duration::from_millis(300);

/// A little less than the time that an orchestrator leaves between asking and killing.
const PATIENCE: Duration = Duration::from_secs(25);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Server::bind("tcp://127.0.0.1:0")
        .await?
        .options(Options::new().drain_grace(PATIENCE))
        .lame_duck(LAME_DUCK)
        .drain_on(told_to_stop());
    let handle = server.handle();
    let channel = Channel::connect(server.local_address()).await?;
    let client = tokio::spawn(keep_calling(channel));

    let stopped = server.serve(service_fn(work)).await;
    assert_eq!(stopped, Stopped::Drained);

    let answered = client.await.expect("the client does not panic");
    let served = handle.stats().served.ok();
    println!("{served} calls were served, and {answered} were answered");
    assert_eq!(served, answered);
    Ok(())
}

/// Ctrl-C; and a moment later anyway, since this is an example.
async fn told_to_stop() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = sleep(Duration::from_millis(500)) => {}
    }
    println!("stopping");
}

async fn work(_: Request) -> Result<Response, Error> {
    sleep(Duration::from_millis(100)).await;
    Ok(Response::new(Body::from("done")))
}

/// Calls until the server takes no more. The call that it does not take was not begun, and can go to another.
async fn keep_calling(mut channel: Channel) -> u64 {
    for answered in 0.. {
        let call = channel.call(Request::new("Work", Body::empty()));
        if let Err(error) = call.await {
            println!("call {} is {:?}: {error}", answered + 1, error.execution());
            assert!(error.execution().is_safe_to_repeat());
            return answered;
        }
    }
    unreachable!("the server stops first")
}
