//! Calls over one connection, both ends in this process.

use std::time::Duration;

use steeple::{
    Body, Carry, Error, Execution, Kind, Peer, Request, Response,
    client::{Channel, Connector},
    conn::{Builder, Options},
    transport::mem::MemStream,
    wire::Role,
};
use tokio::time::Instant;
use tower::{Service, service_fn};

async fn handle(request: Request) -> Result<Response, Error> {
    match request.method().as_str() {
        "echo" => Ok(Response::new(request.into_body())),
        "fail" => Err(Error::application(7, "no")),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(Response::new("late".into()))
        }
        "panic" => panic!("boom"),
        "back" => {
            let mut peer = request.connection().unwrap().get::<Peer>().unwrap().clone();
            peer.call(Request::new("hello", request.into_body())).await
        }
        other => Err(Error::new(Kind::Unimplemented, format!("{other:?}"))),
    }
}

fn pair(options: Options) -> Channel {
    let (near, far) = MemStream::pair(64 * 1024);
    let (_, server) = Builder::new(Role::Acceptor)
        .options(options.clone())
        .build(far, service_fn(handle));
    tokio::spawn(server);
    Connector::new()
        .options(options)
        .serve(service_fn(async |request: Request| {
            Ok::<_, Error>(Response::new(request.into_body()))
        }))
        .connect_io(near, None)
}

#[tokio::test(start_paused = true)]
async fn an_echo_comes_back() {
    let mut channel = pair(Options::new());
    for n in 0..10 {
        let response = channel
            .call(Request::new("echo", Body::from(format!("hello {n}"))))
            .await
            .unwrap();
        assert_eq!(response.body().as_bytes(), &format!("hello {n}"));
    }
    channel.drain().await;
}

#[tokio::test(start_paused = true)]
async fn large_bodies_cross_in_chunks() {
    let mut channel = pair(Options::new());
    let body: Vec<u8> = (0..5_000_000u32).map(|n| n as u8).collect();
    let response = channel
        .call(Request::new("echo", Body::from(body.clone())))
        .await
        .unwrap();
    assert_eq!(response.body().as_bytes(), &body);
    channel.drain().await;
}

#[tokio::test(start_paused = true)]
async fn errors_tell_kind_and_execution() {
    let mut channel = pair(Options::new());
    let error = channel
        .call(Request::new("fail", Body::empty()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Application, Execution::Executed)
    );
    assert_eq!(error.as_application().unwrap().code(), 7);
    let error = channel
        .call(Request::new("panic", Body::empty()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Internal, Execution::MaybeExecuted)
    );
    channel
        .call(Request::new("echo", Body::empty()))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_and_travels() {
    let mut channel = pair(Options::new());
    let mut request = Request::new("slow", Body::empty());
    let begun = request.cx_mut().start();
    request.cx_mut().set_timeout(Duration::from_millis(100));
    let error = channel.call(request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::MaybeExecuted)
    );
    let took = Instant::now() - begun;
    assert!((100..=102).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_calls_back() {
    let mut channel = pair(Options::new());
    let response = channel
        .call(Request::new("back", Body::from("x")))
        .await
        .unwrap();
    assert_eq!(response.body().as_bytes(), "x");
}

#[tokio::test(start_paused = true)]
async fn many_calls_share_few_writes() {
    let channel = pair(Options::new());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let mut channel = channel.clone();
        tasks.spawn(async move {
            for _ in 0..100 {
                let body = format!("{n}");
                let response = channel
                    .call(Request::new("echo", Body::from(body.clone())))
                    .await
                    .unwrap();
                assert_eq!(response.body().as_bytes(), &body);
            }
        });
    }
    tasks.join_all().await;
    let stats = channel.stats();
    assert_eq!(stats.calls.ok(), 6400);
    assert!(stats.write_calls <= 202, "{stats:?}");
}
