//! Handlers that misbehave, all on one TCP connection, and one that does not.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use steeple::{Client, Error, Execution, Kind, Router, Server, router::Handler};
use tokio::time::Instant;

/// Nothing here takes as long.
const LONG: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_that_block_burn_panic_or_never_answer_hold_up_no_other() -> Result<(), Error> {
    let (release, hold) = mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    let echoed = Arc::new(AtomicU32::new(0));
    let echoes = echoed.clone();
    let blocks = move || hold.lock().unwrap().recv().is_err();
    let router = Router::new()
        .route("Blocks", blocks.blocking())
        .route("Burns", move |n: u32| burns(n, &echoes))
        .route("Panics", || -> u8 { panic!("this is what it is for") })
        .route("Never", async || pending::<()>().await)
        .route("Echo", move |n: u32| {
            echoed.fetch_add(1, Ordering::SeqCst);
            n
        });
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(router));
    let mut client = Client::connect(handle.address()).await?;

    let blocked = client.call::<bool>("Blocks", &()).start()?;
    let never = client.call::<()>("Never", &()).start()?;
    for n in 0..100u32 {
        let burning = client.call::<()>("Burns", &n).start()?;
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

/// Keeps its thread for far longer than a route may; and from the second call on until the call of the other route that
/// was made after it was answered. In place that would be never.
fn burns(n: u32, echoes: &AtomicU32) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(10) || n > 0 && echoes.load(Ordering::SeqCst) <= n
    {
        assert!(begun.elapsed() < LONG, "another route is held up");
        std::hint::spin_loop();
    }
}
