//! Handlers, and the service that they come from.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use steeple::{
    Body, Connector, Error, Kind, Options, Request, Response, Server,
    transport::mem::MemNetwork,
    wire::numbers::{reason, status},
};
use tower::{Service, ServiceExt, service_fn};

use crate::support::{
    Gate, Probe, RawPeer, call, echo, request, response, serve, settle, soon, status_of,
};

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_is_answered_and_takes_nothing_else_down() {
    let probe = Probe::default();
    let (mut client, server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    for (id, method) in [(2, "panic"), (4, "panic later")] {
        client.send(request(id, method)).await;
        let (code, not_processed, text) = status_of(&client.expect_response(id).await);
        assert_eq!((code, not_processed), (status::INTERNAL, false));
        assert!(
            !text.contains("boom"),
            "the peer is not told what was said: {text}"
        );
    }
    client.send(request(6, "echo")).await;
    client.expect(response(6)).await;
    assert_eq!(server.stats().served.errors(Kind::Internal), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_when_it_is_called_answers_for_that_call_only() {
    let service = tower::service_fn(|request: Request| {
        assert_ne!(request.method(), "bad", "boom");
        std::future::ready(Ok::<_, Error>(Response::default()))
    });
    let (mut client, _server) = serve(Options::new(), service);
    client.shake_hands().await;
    client
        .send_all([request(2, "bad"), request(4, "good")])
        .await;
    let (code, not_processed, _) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::INTERNAL, false));
    client.expect(response(4)).await;
}

/// Never ready, in one way or another.
#[derive(Clone)]
enum Unready {
    Error,
    Panic,
}

impl Service<Request> for Unready {
    type Response = Response;
    type Error = Error;
    type Future = std::future::Ready<Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self {
            Self::Error => Poll::Ready(Err(Error::new(Kind::Unavailable, "not today"))),
            Self::Panic => panic!("boom"),
        }
    }

    fn call(&mut self, _: Request) -> Self::Future {
        unreachable!("it is never ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_its_readiness_refuses_every_call_unstarted() {
    for (service, expected) in [
        (Unready::Error, status::UNAVAILABLE),
        (Unready::Panic, status::INTERNAL),
    ] {
        let (mut client, _server) = serve(Options::new(), service);
        client.shake_hands().await;
        client
            .send_all([request(2, "echo"), request(4, "echo")])
            .await;
        for id in [2, 4] {
            let (code, not_processed, _) = status_of(&client.expect_response(id).await);
            assert_eq!((code, not_processed), (expected, true));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_wait_in_order_for_a_service_that_is_not_ready() {
    let gate = Gate::new(echo());
    let (mut client, server) = serve(Options::new(), gate.clone());
    client.shake_hands().await;
    client
        .send_all((1..=5).map(|n| request(2 * n, "echo").body([n as u8])))
        .await;
    client.send(crate::support::ping(1)).await;
    client.expect(crate::support::pong(1)).await;
    assert_eq!(server.stats().handling, 5);
    gate.open();
    for n in 1..=5 {
        client.expect(response(2 * n).body([n as u8])).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_connection_has_a_service_of_its_own() {
    /// Counts its own calls; a clone begins anew.
    struct Counting(usize);
    impl Clone for Counting {
        fn clone(&self) -> Self {
            Self(0)
        }
    }
    impl Service<Request> for Counting {
        type Response = Response;
        type Error = Error;
        type Future = std::future::Ready<Result<Response, Error>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request) -> Self::Future {
            self.0 += 1;
            std::future::ready(Ok(Response::new(Body::from(self.0.to_string()))))
        }
    }

    let network = MemNetwork::new(1);
    let server = Server::new(network.listen("server").unwrap());
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(Counting(0)));
    let connector = Connector::new().dialer(network.dialer("client"));
    for _ in 0..2 {
        let endpoint = "mem://server".parse().unwrap();
        let mut channel = connector.clone().oneshot(endpoint).await.unwrap();
        for expected in ["1", "2", "3"] {
            let answer = soon(channel.call(call("count", ""))).await.unwrap();
            assert_eq!(answer.body().as_bytes(), expected);
        }
    }
    soon(handle.drain()).await;
    soon(serving).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn handlers_that_are_not_ready_are_run_by_the_users_spawn() {
    let spawned = Arc::new(AtomicUsize::new(0));
    let count = spawned.clone();
    let options = Options::new().spawn_with(move |task| {
        count.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(task);
    });
    let probe = Probe::default();
    let (mut client, _server) = serve(options, probe.service());
    client.shake_hands().await;
    client
        .send_all([request(2, "echo"), request(4, "sleep").body("10")])
        .await;
    client.expect(response(2)).await;
    client.expect(response(4)).await;
    assert_eq!(
        spawned.load(Ordering::SeqCst),
        1,
        "one that is ready at once needs no task"
    );
}

#[tokio::test(start_paused = true)]
async fn a_spawn_that_drops_the_task_still_gives_an_answer() {
    let options = Options::new().spawn_with(drop);
    let probe = Probe::default();
    let (mut client, server) = serve(options, probe.service());
    client.shake_hands().await;
    client.send(request(2, "never")).await;
    let (code, not_processed, _) = status_of(&client.expect_response(2).await);
    assert_eq!((code, not_processed), (status::INTERNAL, false));
    assert_eq!((probe.dropped(), server.stats().handling), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_close_its_own_connection() {
    let closing = service_fn(async |request: Request| {
        steeple::Peer::of(&request).unwrap().close();
        Ok::<_, Error>(Response::default())
    });
    let (mut client, server) = serve(Options::new(), closing);
    client.shake_hands().await;
    client.send(request(2, "m")).await;
    client.expect(response(2)).await;
    client.expect_goaway(reason::NOW).await;
    client.expect_eof().await;
    drop(client);
    server.ended().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_while_it_is_dropped_does_no_harm() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("boom");
            }
        }
    }
    let service = service_fn(async |request: Request| {
        if request.method() == "bomb" {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
        }
        Ok::<_, Error>(Response::default())
    });
    let (mut client, _server) = serve(Options::new(), service);
    client.shake_hands().await;
    client.send(request(2, "bomb")).await;
    settle().await;
    client
        .send_all([crate::support::cancel(2, reason::DROPPED), request(4, "m")])
        .await;
    let mut ids = [client.message().await.id, client.message().await.id];
    ids.sort();
    assert_eq!(ids, [2, 4]);
}

#[tokio::test(start_paused = true)]
async fn handlers_end_with_their_connection() {
    let probe = Probe::default();
    let (mut client, _server) = serve(Options::new(), probe.service());
    client.shake_hands().await;
    client
        .send_all([request(2, "never"), request(4, "never")])
        .await;
    probe.until_started(2).await;
    client.shutdown().await;
    probe.until_dropped(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_knows_the_address_and_what_was_put_on_its_connection() {
    let (near, far) = steeple::transport::mem::MemStream::pair(1024);
    let service = service_fn(async |request: Request| {
        let connection = request.connection().unwrap();
        let number = connection.get::<u64>().unwrap();
        let address = connection.get::<steeple::Address>().unwrap();
        Ok::<_, Error>(Response::new(format!("{number} {address}").into()))
    });
    let (_, server) = steeple::conn::Builder::new(steeple::wire::Role::Acceptor)
        .extension(7u64)
        .address(steeple::Address::Mem("there".into()))
        .build(near, service);
    tokio::spawn(server);
    let mut client = RawPeer::new(far);
    client.shake_hands().await;
    client.send(request(2, "m")).await;
    client.expect(response(2).body("7 mem://there")).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
}
