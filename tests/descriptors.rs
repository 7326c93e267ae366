//! A server in a process that has as many files open as it may.
#![cfg(unix)]

use std::{env, fs::File, process::Command, time::Duration};

use steeple::{Channel, Error, Request, Response, Server};
use tokio::time::{sleep, timeout};
use tower::{Service, service_fn};

/// Set in the process that has few.
const FEW: &str = "STEEPLE_TEST_OF_FEW_FILES";

/// Who waits for this long, waits for ever.
const LONG: Duration = Duration::from_secs(60);

async fn answered(channel: &mut Channel) {
    let answer = channel.call(Request::new("Echo", "x".into()));
    timeout(LONG, answer).await.unwrap().unwrap();
}

#[test]
fn a_server_without_descriptors_serves_whom_it_has_and_accepts_again_when_it_can() {
    if env::var_os(FEW).is_none() {
        // A limit of its own, which only a shell can set without code that is not safe.
        let test = "a_server_without_descriptors_serves_whom_it_has_and_accepts_again_when_it_can";
        let mut few = Command::new("sh");
        few.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
            .arg(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(FEW, "1");
        assert!(few.status().unwrap().success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(starve());
}

async fn starve() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.spawn(service_fn(|request: Request| async move {
        Ok::<_, Error>(Response::new(request.into_body()))
    }));
    let mut before = Channel::connect(server.address()).await.unwrap();
    answered(&mut before).await;

    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(files.len() < 64);
    // One for the client's end, and none for the server's.
    drop(files.pop());
    let mut late = Channel::connect(server.address()).await.unwrap();
    let fails = async {
        while server.stats().accept_errors == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, fails).await.unwrap();
    assert_eq!(server.stats().accepts, 1);
    answered(&mut before).await;

    drop(files);
    answered(&mut late).await;
    assert_eq!(server.stats().accepts, 2);
}
