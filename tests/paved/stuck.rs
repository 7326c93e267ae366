//! Handlers that misbehave, all on one TCP connection, and one that does not.

use std::{
    future::pending,
    sync::{Mutex, mpsc},
    time::Duration,
};

use steeple::{Client, Error, Execution, Kind, Router, Server, router::Handler};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_that_block_burn_panic_or_never_answer_hold_up_no_other() -> Result<(), Error> {
    let (release, hold) = mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    let blocks = move || hold.lock().unwrap().recv().is_err();
    let router = Router::new()
        .route("Blocks", blocks.blocking())
        .route("Burns", burns)
        .route("Panics", || -> u8 { panic!("this is what it is for") })
        .route("Never", async || pending::<()>().await)
        .route("Echo", |n: u32| n);
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(router));
    let mut client = Client::connect(handle.address()).await?;

    let blocked = client.call::<bool>("Blocks", &()).start()?;
    let never = client.call::<()>("Never", &()).start()?;
    for n in 0..100 {
        let burning = client.call::<()>("Burns", &()).start()?;
        let panicked = client.call::<u8>("Panics", &()).start()?;
        assert_eq!(client.call::<u32>("Echo", &n).await?, n);
        let panicked = panicked.await.unwrap_err();
        assert_eq!(
            (panicked.kind(), panicked.execution()),
            (Kind::Internal, Execution::MaybeExecuted)
        );
        burning.await?;
    }
    assert!(!blocked.is_finished() && !never.is_finished());
    assert_eq!(handle.stats().accepts, 1, "all of this was one connection");

    never.cancel();
    drop(release);
    assert!(blocked.await?);
    handle.drain().await;
    serving.await.expect("the server does not panic");
    Ok(())
}

/// Keeps its thread for far longer than a route may.
fn burns() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(10) {
        std::hint::spin_loop();
    }
}
