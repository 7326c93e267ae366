//! tower's own layers over a channel and around a server's service: nothing of this crate stands between.

use std::{
    future::{pending, ready},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{future::join_all, poll};
use steeple::{
    Body, Channel, Client, Connector, Endpoint, Error, Execution, Kind, Replay, Request, Response,
    Server,
    conn::Builder,
    from_tower,
    layers::{Replicas, resolve::Fixed},
    transport::mem::{MemNetwork, MemStream},
    wire::Role,
};
use tower::{
    Service, ServiceBuilder, ServiceExt, balance::p2c::Balance, buffer::Buffer,
    discover::ServiceList, limit::ConcurrencyLimitLayer, reconnect::Reconnect, retry::Policy,
    service_fn, steer::Steer,
};

fn request(method: &'static str) -> Request {
    Request::new(method, Body::from("x"))
}

async fn echo(request: Request) -> Result<Response, Error> {
    Ok(Response::new(request.into_body()))
}

async fn hang(_: Request) -> Result<Response, Error> {
    pending().await
}

/// A connection in memory, at whose other end `service` serves.
fn channel_to<S>(service: S) -> Channel
where
    S: Service<Request, Response = Response, Error: Into<Error>, Future: Send> + Send + 'static,
{
    let (near, far) = MemStream::pair(64 * 1024);
    let (_, server) = Builder::new(Role::Acceptor).build(far, service);
    tokio::spawn(server);
    Connector::new().connect_io(near, None)
}

#[tokio::test]
async fn a_stack_keeps_its_map_err_whether_its_layers_box_errors_or_not() {
    let limited = ServiceBuilder::new()
        .map_err(from_tower)
        .concurrency_limit(1)
        .service_fn(async |_: Request| {
            let error = Error::application(7, "no");
            Err::<Response, _>(error)
        });
    let error = limited.oneshot(request("any")).await.unwrap_err();
    assert_eq!(error.as_application().unwrap().code(), 7);
    let shed = ServiceBuilder::new()
        .map_err(from_tower)
        .load_shed()
        .concurrency_limit(1)
        .service_fn(echo);
    let answer = shed.oneshot(request("any")).await.unwrap();
    assert_eq!(answer.body().as_bytes(), "x");
}

/// Sends again only what has not run, and at most ten times.
#[derive(Clone)]
struct Careful(usize);

impl Policy<Request, Response, Error> for Careful {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request,
        result: &mut Result<Response, Error>,
    ) -> Option<Self::Future> {
        let error = result.as_ref().err()?;
        self.0 += 1;
        (error.execution().is_safe_to_repeat() && self.0 < 10).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        request.replay()
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_cancels_the_call() {
    let channel = channel_to(service_fn(hang));
    let client = ServiceBuilder::new()
        .map_err(from_tower)
        .timeout(Duration::from_secs(1))
        .service(channel.clone());
    let error = client.oneshot(request("hang")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(error.execution(), Execution::MaybeExecuted);
    assert_eq!(channel.stats().calls.errors(Kind::Cancelled), 1);
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_is_one_for_all_clones() {
    let channel = channel_to(service_fn(hang));
    let client = ServiceBuilder::new()
        .concurrency_limit(2)
        .service(channel.clone());
    let mut calls: Vec<_> = (0..3)
        .map(|_| Box::pin(client.clone().oneshot(request("hang"))))
        .collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    assert_eq!(channel.pending(), 2);
    drop(calls);
    assert_eq!(channel.stats().calls.errors(Kind::Cancelled), 2);
}

#[tokio::test(start_paused = true)]
async fn load_that_is_shed_never_reaches_the_connection() {
    let channel = channel_to(service_fn(hang));
    let client = ServiceBuilder::new()
        .map_err(from_tower)
        .load_shed()
        .concurrency_limit(1)
        .service(channel.clone());
    let mut first = pin!(client.clone().oneshot(request("hang")));
    assert!(poll!(&mut first).is_pending());
    let error = client.oneshot(request("hang")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Overflow);
    assert_eq!(error.execution(), Execution::NotStarted);
    assert_eq!(channel.pending(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_out_of_boxing_layers_as_it_went_in() {
    let channel = channel_to(service_fn(async |_: Request| {
        Err::<Response, _>(Error::application(7, "no"))
    }));
    let client = ServiceBuilder::new()
        .map_err(from_tower)
        .load_shed()
        .timeout(Duration::from_secs(1))
        .service(channel);
    let error = client.oneshot(request("fail")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Application);
    assert_eq!(error.execution(), Execution::Executed);
    assert_eq!(error.as_application().unwrap().code(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_filter_refuses_before_anything_is_sent() {
    let channel = channel_to(service_fn(echo));
    let client = ServiceBuilder::new()
        .map_err(from_tower)
        .filter(|request: Request| match request.method().as_str() {
            "secret" => Err(Error::new(Kind::PermissionDenied, "not for you")),
            _ => Ok(request),
        })
        .service(channel.clone());
    let error = client.clone().oneshot(request("secret")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    assert_eq!(error.execution(), Execution::NotSent);
    client.oneshot(request("open")).await.unwrap();
    assert_eq!(channel.stats().calls.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_sends_again_what_has_not_started_and_nothing_else() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let channel = channel_to(service_fn(move |request: Request| {
        let call = count.fetch_add(1, Ordering::Relaxed);
        ready(match request.method().as_str() {
            "busy" if call < 2 => {
                let error = Error::new(Kind::Unavailable, "busy");
                Err(error.with_execution(Execution::NotStarted))
            }
            "fail" => Err(Error::new(Kind::Internal, "failed").executed()),
            _ => Ok(Response::new(request.into_body())),
        })
    }));
    let client = ServiceBuilder::new().retry(Careful(0)).service(channel);

    client.clone().oneshot(request("busy")).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    client.oneshot(request("fail")).await.unwrap_err();
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_buffer_passes_calls_and_their_drops_on() {
    let channel = channel_to(service_fn(async |request: Request| {
        match request.method().as_str() {
            "hang" => hang(request).await,
            _ => echo(request).await,
        }
    }));
    let client = Buffer::new(channel.clone(), 8);
    let answers = join_all((0..20).map(|_| client.clone().oneshot(request("echo")))).await;
    assert!(answers.iter().all(Result::is_ok));

    let mut hanging = Box::pin(client.clone().oneshot(request("hang")));
    assert!(poll!(&mut hanging).is_pending());
    client.oneshot(request("echo")).await.unwrap();
    assert!(poll!(&mut hanging).is_pending());
    drop(hanging);
    assert_eq!(channel.stats().calls.errors(Kind::Cancelled), 1);
}

#[tokio::test(start_paused = true)]
async fn the_balancer_sees_how_many_calls_each_channel_has() {
    let channels = [(); 2].map(|()| channel_to(service_fn(hang)));
    let mut balance = Balance::new(ServiceList::new::<Request>(channels.clone()));
    let mut calls = Vec::new();
    for _ in 0..10 {
        let ready = balance.ready().await.unwrap();
        calls.push(ready.call(request("hang")));
    }
    assert_eq!(channels.map(|channel| channel.pending()), [5, 5]);
}

#[tokio::test(start_paused = true)]
async fn reconnect_makes_a_new_channel_when_the_old_one_is_closed() {
    let network = MemNetwork::new(1);
    let made = Arc::new(Mutex::new(Vec::<Channel>::new()));
    let keep = made.clone();
    let connector = ServiceBuilder::new()
        .map_response(move |channel: Channel| {
            keep.lock().unwrap().push(channel.clone());
            channel
        })
        .service(Connector::new().dialer(network.dialer("client")));
    let endpoint: Endpoint = "mem://server".parse().unwrap();
    let mut client = Reconnect::new(connector, endpoint);
    for connections in 1..=2 {
        let server = Server::new(network.listen("server").unwrap());
        let handle = server.handle();
        tokio::spawn(server.serve(service_fn(echo)));
        let ready = client.ready().await.unwrap();
        ready.call(request("echo")).await.unwrap();
        assert_eq!(made.lock().unwrap().len(), connections);

        handle.drain().await;
        let channel = made.lock().unwrap()[connections - 1].clone();
        channel.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_around_the_servers_service_lets_requests_wait() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, max) = (running.clone(), most.clone());
    let service = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(3))
        .service(service_fn(move |request: Request| {
            let (now, max) = (now.clone(), max.clone());
            async move {
                max.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
                now.fetch_sub(1, Ordering::Relaxed);
                echo(request).await
            }
        }));
    let channel = channel_to(service);
    let answers = join_all((0..20).map(|_| channel.clone().oneshot(request("echo")))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_sheds_may_be_sent_again() {
    let service = ServiceBuilder::new()
        .map_err(from_tower)
        .load_shed()
        .concurrency_limit(1)
        .service(service_fn(hang));
    let mut channel = channel_to(service);
    let _first = channel.call(request("hang"));
    let error = channel.call(request("hang")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Overflow);
    assert_eq!(error.execution(), Execution::NotStarted);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_the_servers_service_ends_the_handler() {
    let service = ServiceBuilder::new()
        .map_err(from_tower)
        .timeout(Duration::from_secs(1))
        .service(service_fn(hang));
    let mut channel = channel_to(service);
    let error = channel.call(request("hang")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(error.execution(), Execution::MaybeExecuted);
}

#[tokio::test(start_paused = true)]
async fn a_filter_around_the_servers_service_refuses_before_the_handler() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let service = ServiceBuilder::new()
        .map_err(from_tower)
        .filter(|request: Request| match request.method().as_str() {
            "secret" => {
                let error = Error::new(Kind::PermissionDenied, "not for you");
                Err(error.with_execution(Execution::NotStarted))
            }
            _ => Ok(request),
        })
        .service(service_fn(move |request: Request| {
            count.fetch_add(1, Ordering::Relaxed);
            echo(request)
        }));
    let mut channel = channel_to(service);
    let error = channel.call(request("secret")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    assert_eq!(error.execution(), Execution::NotStarted);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    channel.call(request("open")).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_around_the_servers_service_calls_the_handler_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let service =
        ServiceBuilder::new()
            .retry(Careful(0))
            .service(service_fn(move |request: Request| {
                ready(match count.fetch_add(1, Ordering::Relaxed) {
                    0 | 1 => {
                        let error = Error::new(Kind::Unavailable, "busy");
                        Err(error.with_execution(Execution::NotStarted))
                    }
                    _ => Ok(Response::new(request.into_body())),
                })
            }));
    let mut channel = channel_to(service);
    let answer = channel.call(request("busy")).await.unwrap();
    assert_eq!(answer.body().as_bytes(), "x");
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert_eq!(channel.stats().calls.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_buffer_around_the_servers_service_passes_requests_and_cancels_on() {
    /// Counts the calls that are under way.
    struct Running(Arc<AtomicUsize>);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    let running = Arc::new(AtomicUsize::new(0));
    let counted = running.clone();
    let service = ServiceBuilder::new()
        .map_err(from_tower)
        .buffer(8)
        .service(service_fn(move |request: Request| {
            counted.fetch_add(1, Ordering::Relaxed);
            let running = Running(counted.clone());
            async move {
                let _running = running;
                match request.method().as_str() {
                    "hang" => hang(request).await,
                    _ => echo(request).await,
                }
            }
        }));
    let channel = channel_to(service);
    let answers = join_all((0..20).map(|_| channel.clone().oneshot(request("echo")))).await;
    assert!(answers.iter().all(Result::is_ok));
    let hanging = channel.clone().call(request("hang"));
    channel.clone().oneshot(request("echo")).await.unwrap();
    assert_eq!(running.load(Ordering::Relaxed), 1);
    drop(hanging);
    channel.clone().oneshot(request("echo")).await.unwrap();
    assert_eq!(running.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn steer_behind_a_server_sends_requests_to_one_of_several_services() {
    let service = |name: &'static str| {
        service_fn(move |_: Request| ready(Ok::<_, Error>(Response::new(Body::from(name)))))
    };
    let by_name = |request: &Request, _: &[_]| usize::from(request.method().as_str() == "b");
    let mut channel = channel_to(Steer::new(["first", "second"].map(service), by_name));
    for (method, answers) in [("a", "first"), ("b", "second"), ("c", "first")] {
        let answer = channel.call(request(method)).await.unwrap();
        assert_eq!(answer.body().as_bytes(), answers);
    }
}

#[tokio::test(start_paused = true)]
async fn steer_sends_calls_to_one_of_several_connections() {
    let channels = [(); 2].map(|()| channel_to(service_fn(echo)));
    let by_name = |request: &Request, _: &[_]| usize::from(request.method().as_str() == "b");
    let mut client = Steer::new(channels.clone(), by_name);
    for method in ["a", "b", "b"] {
        let ready = ServiceExt::<Request>::ready(&mut client).await.unwrap();
        ready.call(request(method)).await.unwrap();
    }
    assert_eq!(
        channels.map(|channel| channel.stats().calls.total()),
        [1, 2]
    );
}

#[tokio::test(start_paused = true)]
async fn towers_balancer_goes_over_replicas_and_follows_them() {
    let network = MemNetwork::new(1);
    let serve = |name| {
        let server = Server::new(network.listen(name).unwrap());
        let handle = server.handle();
        tokio::spawn(server.serve(service_fn(echo)));
        handle
    };
    let servers = ["a", "b"].map(serve);
    let endpoints = ["mem://a", "mem://b"].map(|text| text.parse::<Endpoint>().unwrap());
    let connector = Connector::new().dialer(network.dialer("client"));
    let replicas = Replicas::new(Fixed::new(endpoints).unwrap(), connector);
    let mut client = Balance::new(replicas.changes());
    for _ in 0..100 {
        let ready = client.ready().await.unwrap();
        ready.call(request("echo")).await.unwrap();
    }
    let served = servers
        .each_ref()
        .map(|server| server.stats().served.total());
    assert_eq!(served.iter().sum::<u64>(), 100);
    assert!(served.iter().all(|calls| *calls > 10), "{served:?}");
    servers[0].drain().await;
    replicas.ready().await.unwrap();
    for _ in 0..10 {
        let ready = client.ready().await.unwrap();
        ready.call(request("echo")).await.unwrap();
    }
    let after = servers.map(|server| server.stats().served.total());
    assert_eq!(after, [served[0], served[1] + 10]);
}

#[tokio::test(start_paused = true)]
async fn towers_layers_go_around_the_default_stack() {
    let network = MemNetwork::new(1);
    let server = Server::new(network.listen("server").unwrap());
    let handle = server.handle();
    let service = ServiceBuilder::new()
        .map_err(from_tower)
        .load_shed()
        .concurrency_limit(10)
        .timeout(Duration::from_secs(5))
        .service(service_fn(async |request: Request| {
            match request.method().as_str() {
                "hang" => hang(request).await,
                _ => echo(request).await,
            }
        }));
    tokio::spawn(server.serve(service));
    let connector = Connector::new().dialer(network.dialer("client"));
    let client = Client::builder().connector(connector);
    let stack = client.connect("mem://server").await.unwrap().into_service();
    let stack = ServiceBuilder::new()
        .map_err(from_tower)
        .load_shed()
        .concurrency_limit(10)
        .buffer(10)
        .filter(|request: Request| match request.method().as_str() {
            "secret" => Err(Error::new(Kind::PermissionDenied, "not for you")),
            _ => Ok(request),
        })
        .timeout(Duration::from_secs(5))
        .retry(Careful(0))
        .service(stack);
    let mut client = Client::new(stack);
    let answer: String = client.call("echo", "x").await.unwrap();
    assert_eq!(answer, "x");
    let error = client.call::<()>("secret", "x").await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    assert_eq!(error.execution(), Execution::NotSent);
    assert_eq!(handle.stats().served.total(), 1);

    // Ten have room, and the eleventh is shed before it is sent.
    let calls = (0..11).map(|_| {
        let mut client = client.clone();
        async move { client.call::<()>("hang", "x").await.unwrap_err() }
    });
    let errors = join_all(calls).await;
    let count = |kind| errors.iter().filter(|error| error.kind() == kind).count();
    assert_eq!((count(Kind::Timeout), count(Kind::Overflow)), (10, 1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(handle.stats().served.total(), 11);
}
